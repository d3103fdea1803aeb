"""The behaviours of the demonstration, and which shipped instance has to detect each.

Harmless all of them: files in the scratch folder, closed ports on loopback, programs that do
nothing. What they have in common with an attack is what a sensor sees of it.
"""

from lab.demo.scenario import Behaviour, commands

_UNIX_CONNECT = (
    "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect_ex('./docker.sock')"
)
_ASK_FOR_ROOT = "import os; os.setuid(65534); os.setuid(0)"
_LOAD_BPF = (
    "import ctypes, struct; "
    "code = ctypes.create_string_buffer(bytes.fromhex('b700000000000000' '9500000000000000')); "
    "at = ctypes.addressof(code); "
    "call = {'x86_64': 321, 'aarch64': 280}[__import__('os').uname().machine]; "
    "ctypes.CDLL(None).syscall(call, 5, struct.pack('IIQQ', 5, 2, at, at), 24)"
)
"""Two instructions that return 0, for tracepoints; nothing is attached, and it is gone at once."""
_RUN_FROM_MEMORY = (
    "import os; file = os.memfd_create('tool'); os.write(file, open('/bin/true', 'rb').read()); "
    "os.execve(file, ['tool'], {})"
)
_WRITE_TO_PARENT = (
    "import ctypes, os; ctypes.CDLL(None).process_vm_writev(os.getppid(), None, 0, None, 0, 0)"
)
_ASK_FOR_POOL = (
    "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto("
    r"b'\\0\\1\\1\\0\\0\\1' + bytes(6) + b'\\4pool\\x09hashvault\\3pro\\0\\0\\1\\0\\1',"
    " ('127.0.0.1', 53))"
)

BEHAVIOURS: tuple[Behaviour, ...] = (
    Behaviour(
        "text is decoded and piped into a shell",
        "process",
        "decoded-script-piped-to-shell",
        commands("bash -c 'echo dHJ1ZQo= | base64 -d | sh'"),
    ),
    Behaviour(
        "a shell is tied to a connection (to a closed port)",
        "process",
        "reverse-shell-command-line",
        commands("bash -c 'sh -i >& /dev/tcp/127.0.0.1/4444 0>&1'"),
    ),
    Behaviour(
        "a program calls itself a kernel thread",
        "process",
        "kernel-thread-masquerade",
        commands("exec -a '[kworker/0:1]' /bin/true"),
    ),
    Behaviour(
        "a program runs from a hidden folder",
        "process",
        "execution-from-hidden-folder",
        commands("mkdir -p .hidden; cp /bin/true .hidden/tool; $PWD/.hidden/tool"),
    ),
    Behaviour(
        "a cron entry is written",
        "file",
        "cron-entry-written",
        commands("mkdir -p etc/cron.d; echo '# nothing' > etc/cron.d/job"),
    ),
    Behaviour(
        "a program is given the set-user-id bit",
        "file",
        "set-user-id-bit-added",
        commands("cp /bin/true tool; chmod 4755 tool; rm tool"),
    ),
    Behaviour(
        "a key is added for logging in",
        "file",
        "ssh-authorized-keys-written",
        commands("mkdir -p home/.ssh; echo '# no key' > home/.ssh/authorized_keys"),
    ),
    Behaviour(
        "a shell opens a connection",
        "network",
        "shell-opens-connection",
        commands("bash -c 'exec 3<>/dev/tcp/127.0.0.1/4444'"),
    ),
    Behaviour(
        "something connects where mining pools listen",
        "network",
        "connect-to-mining-pool-port",
        commands("bash -c 'exec 3<>/dev/tcp/127.0.0.1/3333'"),
    ),
    Behaviour(
        "a FIFO with the name that reverse shells give it",
        "ipc",
        "fifo-of-reverse-shell",
        commands("rm -f backpipe; mkfifo backpipe"),
    ),
    Behaviour(
        "a one-line program asks for the container engine",
        "ipc",
        "container-socket-by-general-tool",
        commands(f'/usr/bin/python3 -c "{_UNIX_CONNECT}"'),
    ),
    Behaviour(
        "a program with the name of sudo crashes",
        "exit",
        "set-user-id-program-crashed",
        commands("cp /bin/bash sudo; ./sudo -c 'kill -SEGV $$'; rm sudo"),
    ),
    Behaviour(
        "a program that gave up root wants it back",
        "privilege",
        "request-for-root-refused",
        commands(f'/usr/bin/python3 -c "{_ASK_FOR_ROOT}"'),
    ),
    Behaviour(
        "a hidden program loads BPF that could see every process",
        "module",
        "tracing-program-of-hidden-program",
        commands(f'cp /usr/bin/python3 .loader; $PWD/.loader -c "{_LOAD_BPF}"; rm .loader'),
    ),
    Behaviour(
        "a process writes to the memory of another one (nothing)",
        "process_access",
        "code-injected-into-process",
        commands(f'/usr/bin/python3 -c "{_WRITE_TO_PARENT}"; true'),
    ),
    Behaviour(
        "a program runs that is in no folder",
        "memory",
        "program-run-from-memory",
        commands(f'/usr/bin/python3 -c "{_RUN_FROM_MEMORY}"'),
    ),
    Behaviour(
        "the name of a mining pool is asked for (of nobody)",
        "dns",
        "query-for-mining-pool",
        commands(f'/usr/bin/python3 -c "{_ASK_FOR_POOL}"'),
    ),
)
