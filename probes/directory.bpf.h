/* The working folder and the executable of the current process as paths, from the kernel's own tree
 * of names.
 *
 * The walk goes from folder or file up to the root of its mount namespace, through the places where
 * file systems are mounted, and so says what /proc/PID/cwd and /proc/PID/exe show to a reader of that
 * namespace: a chroot doesn't shorten it. What was seen on the way up is then written from the root down, so that
 * of a path that is too long the beginning is kept.
 *
 * Programs run inside an RCU section, which keeps names and folders where they are. A folder that
 * is moved during the walk may give a path that is half old and half new.
 */

#define DIRECTORY_DEPTH 64 /* folders and mounts on the way to the root; beyond, it is not known */
#define DIRECTORY_NAME_BYTES 256
#define SHORT_NAME_BYTES 32 /* that every dentry can hold of its own name */
#define SHORT_NAME_WORDS (SHORT_NAME_BYTES / sizeof(u64))

/* A dentry up to and including its short name, which stands behind d_name and d_inode. */
#define DENTRY_BYTES (OFFSET_dentry_d_name + 24 + SHORT_NAME_BYTES)

struct directory_level {
    u64 dentry; /* 0 where a mount was left, which adds no name */
    u8 memory[DENTRY_BYTES];
};

/* Where a mount hangs, side by side in struct mount unless somebody has shuffled it. */
struct mount_place {
    u64 parent; /* struct mount */
    u64 mountpoint;
    u64 root;
};

/* What an exec is asked for: where its file and where its working folder is. */
enum { EXECUTABLE_PATH, WORKING_FOLDER, DIRECTORY_PATHS };

struct directory_path {
    s64 taken; /* its length, beyond the capacity if it was cut; negative where there is no path */
    u8 text[CAPACITY_process_current_directory + DIRECTORY_NAME_BYTES];
};

/* Where the walk is lives in memory, where the verifier forgets what it knew of it: else it would
 * check everything behind a loop once for each number of rounds.
 */
struct directory_walk {
    struct mount_place at;
    u64 mount; /* struct vfsmount */
    u64 dentry;
    u64 left; /* the mount that was left last with no name since */
    u64 top;  /* the mount whose root is that of all: known once a walk of this program has ended */
    u64 depth;
    u64 prevention; /* what came of it */
    struct directory_level levels[DIRECTORY_DEPTH];
    struct directory_path paths[DIRECTORY_PATHS];
};

BPF_PERCPU_ARRAY(directory_scratch, struct directory_walk, 1);

#define OFFSET_folder_mount (OFFSET_fs_struct_pwd + OFFSET_path_mnt)
#define OFFSET_folder_dentry (OFFSET_fs_struct_pwd + OFFSET_path_dentry)

#define IN_DENTRY(type, level, offset) (*(type *)((level)->memory + (offset)))

#define OFFSET_file_mount (OFFSET_file_f_path + OFFSET_path_mnt)
#define OFFSET_file_dentry (OFFSET_file_f_path + OFFSET_path_dentry)

#define OFFSET_dentry_short_name (OFFSET_dentry_d_name + 24)
#define SHORT_NAME_IS_THERE                                                                  \
    (OFFSET_dentry_d_iname == OFFSET_dentry_short_name                                       \
     || OFFSET_dentry_d_shortname == OFFSET_dentry_short_name)

#if defined(TYPED_TASK) && SHORT_NAME_IS_THERE
#define OFFSET_dentry_name (OFFSET_dentry_d_name + OFFSET_qstr_name)
#define OFFSET_dentry_length (OFFSET_dentry_d_name + OFFSET_qstr_len)
#define TAKE_MEMBER(type, level, address, member)                                            \
    IN_DENTRY(type, level, OFFSET_##member) = MEMBER(type, address, member)
#define OFFSET_second_word (OFFSET_dentry_short_name + 8)
#define OFFSET_third_word (OFFSET_dentry_short_name + 16)
#define OFFSET_fourth_word (OFFSET_dentry_short_name + 24)

/* Fills levels up to the root of the first mount, which is the only one of most paths, by typed
 * loads: a helper takes as long as all loads of a level together.
 */
static __always_inline void climb(struct directory_walk *walk, u64 mount, u64 dentry)
{
    u64 root = MEMBER(u64, mount, vfsmount_mnt_root);
    walk->mount = mount;
    walk->at.root = root;
    walk->at.parent = walk->left = 0;
    walk->depth = 0;
    for (u32 depth = 0; depth < DIRECTORY_DEPTH; depth++) {
        struct directory_level *level = &walk->levels[depth];
        u64 parent = MEMBER(u64, dentry, dentry_d_parent);
        walk->dentry = dentry;
        walk->depth = depth;
        if (dentry == root || dentry == parent)
            break;
        level->dentry = dentry;
        TAKE_MEMBER(u32, level, dentry, dentry_length);
        TAKE_MEMBER(u64, level, dentry, dentry_name);
        TAKE_MEMBER(u64, level, dentry, dentry_short_name);
        TAKE_MEMBER(u64, level, dentry, second_word);
        TAKE_MEMBER(u64, level, dentry, third_word);
        TAKE_MEMBER(u64, level, dentry, fourth_word);
        dentry = parent;
    }
    FORGET();
}
#else
static __always_inline void climb(struct directory_walk *walk, u64 mount, u64 dentry)
{
    walk->mount = mount;
    walk->at.root = MEMBER(u64, mount, vfsmount_mnt_root);
    walk->at.parent = walk->left = 0;
    walk->dentry = dentry;
    walk->depth = 0;
}
#endif

static __always_inline void look_at_mount(struct directory_walk *walk)
{
    u64 mount = walk->mount - OFFSET_mount_mnt;
#if OFFSET_mount_mnt_mountpoint == OFFSET_mount_mnt_parent + 8                               \
    && OFFSET_mount_mnt + OFFSET_vfsmount_mnt_root == OFFSET_mount_mnt_parent + 16
    read_kernel(&walk->at, sizeof(walk->at), (void *)(mount + OFFSET_mount_mnt_parent));
#else
    walk->at.parent = read_u64(mount + OFFSET_mount_mnt_parent);
    walk->at.mountpoint = read_u64(mount + OFFSET_mount_mnt_mountpoint);
    walk->at.root = read_u64(walk->mount + OFFSET_vfsmount_mnt_root);
#endif
    FORGET();
}

/* Goes up through a mount; 0 if it is that of the root. */
static __always_inline int leave_mount(struct directory_walk *walk)
{
    if (walk->mount == walk->top)
        return 0;
    if (!walk->left)
        walk->left = walk->mount;
    if (!walk->at.parent)
        look_at_mount(walk);
    if (walk->at.parent == walk->mount - OFFSET_mount_mnt) {
        walk->top = walk->left;
        return 0;
    }
    walk->dentry = walk->at.mountpoint;
    walk->mount = walk->at.parent + OFFSET_mount_mnt;
    look_at_mount(walk);
    return 1;
}

/* Fills levels up to the root, from where the walk is; negative if it was not found. */
static __always_inline s64 walk_up(struct directory_walk *walk)
{
    for (u32 round = 0; round < DIRECTORY_DEPTH; round++) {
        FORGET();
        u64 depth = walk->depth;
        BOUND(depth);
        if (depth >= DIRECTORY_DEPTH)
            break;
        struct directory_level *level = &walk->levels[depth];
        if (walk->dentry == walk->at.root) {
            if (!leave_mount(walk))
                return 0;
            level->dentry = 0;
        } else {
            read_kernel(level->memory, DENTRY_BYTES, (void *)walk->dentry);
            u64 parent = IN_DENTRY(u64, level, OFFSET_dentry_d_parent);
            if (parent == walk->dentry)
                return UNKNOWN; /* moved out of what is mounted: there is no path */
            level->dentry = walk->dentry;
            walk->dentry = parent;
            walk->left = 0;
        }
        walk->depth = depth + 1;
    }
    return -1;
}

/* Writes a name of at most 255 bytes; mostly it lies in what was read already. */
static __always_inline void write_name(u8 *destination, struct directory_level *level, u64 length)
{
    u64 name = IN_DENTRY(u64, level, OFFSET_dentry_d_name + OFFSET_qstr_name);
    u64 inside = name - level->dentry;
    BOUND(inside);
    if (inside <= DENTRY_BYTES - SHORT_NAME_BYTES && length <= SHORT_NAME_BYTES) {
        u8 *source = level->memory + inside;
#pragma unroll
        for (u32 word = 0; word < SHORT_NAME_WORDS; word++)
            ((u64 *)destination)[word] = ((u64 *)source)[word];
    } else {
        read_kernel(destination, length, (void *)name);
    }
}

/* Writes the path from the root down. */
static __always_inline void write_down(struct directory_walk *walk, struct directory_path *path)
{
    path->taken = 0;
    for (u32 step = 0; step < DIRECTORY_DEPTH; step++) {
        u64 index = walk->depth - 1 - step;
        u64 length = path->taken;
        BOUND(index);
        BOUND(length);
        if (index >= DIRECTORY_DEPTH || length >= CAPACITY_process_current_directory)
            break;
        struct directory_level *level = &walk->levels[index];
        if (!level->dentry)
            continue;
        u64 name_length = IN_DENTRY(u32, level, OFFSET_dentry_d_name + OFFSET_qstr_len) & 0xff;
        path->text[length] = '/';
        write_name(path->text + length + 1, level, name_length);
        path->taken = length + name_length + 1;
    }
    if (path->taken == 0) {
        path->text[0] = '/';
        path->taken = 1;
    }
}

/* At an exec the file of the current process is the one that is executed, as linux_binprm has it;
 * but that would take helpers.
 */
static __always_inline void begin_path(struct directory_walk *walk, u64 task, u32 which)
{
    u64 mount, dentry;
    if (which == EXECUTABLE_PATH) {
        u64 memory = MEMBER(u64, task, task_struct_mm);
        u64 file = MEMBER(u64, memory, mm_struct_exe_file);
        mount = MEMBER(u64, file, file_mount);
        dentry = MEMBER(u64, file, file_dentry);
    } else {
        u64 folders = MEMBER(u64, task, task_struct_fs);
        mount = MEMBER(u64, folders, folder_mount);
        dentry = MEMBER(u64, folders, folder_dentry);
    }
    climb(walk, mount, dentry);
}

/* Finds both paths with the same instructions, which after an exec lie in no cache yet. */
static __always_inline void find_paths(struct directory_walk *walk, u64 task)
{
    walk->top = 0;
#pragma clang loop unroll(disable)
    for (u32 which = 0; which < DIRECTORY_PATHS; which++) {
        BOUND(which);
        struct directory_path *path = &walk->paths[which];
        begin_path(walk, task, which);
        s64 found = walk_up(walk);
        FORGET();
        if (found < 0)
            path->taken = found;
        else
            write_down(walk, path);
        FORGET();
    }
}

static __always_inline s64 copy_path(u8 *destination, u64 capacity, struct directory_path *path)
{
    s64 taken = path->taken;
    return taken < 0 ? taken : copy_words(destination, capacity, path->text, taken);
}
