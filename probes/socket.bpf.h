/* What calls on sockets have in common, whichever Template Type they end in. */

#define FAMILY_UNIX 1
#define FAMILY_IPV4 2
#define FAMILY_IPV6 10
#define IPV4_ADDRESS_BYTES 16 /* of struct sockaddr_in */
#define IPV6_ADDRESS_BYTES 24 /* of struct sockaddr_in6 without its scope */

#define SOCKET_STREAM 1
#define SOCKET_DATAGRAM 2

#define ERROR_BAD_DESCRIPTOR (-9)
#define ERROR_NOT_A_SOCKET (-88)

#define SOCKET_CONNECT 1
#define SOCKET_BIND 2
#define SOCKET_ACCEPT 3

struct socket_address {
    u16 family;
    u16 port;
    u32 ipv4;
    u8 ipv6[16];
};

static __always_inline void map_ipv4(u8 *destination, u32 ipv4)
{
    __builtin_memset(destination, 0, 10);
    destination[10] = 0xff;
    destination[11] = 0xff;
    __builtin_memcpy(destination + 12, &ipv4, sizeof(ipv4));
}

/* Whether the program gave a whole address of its family; `host` gets its 16 bytes. */
static __always_inline int asked_address(
    u64 length, struct socket_address *address, u8 *host)
{
    if (address->family == FAMILY_IPV4 && length >= IPV4_ADDRESS_BYTES)
        map_ipv4(host, address->ipv4);
    else if (address->family == FAMILY_IPV6 && length >= IPV6_ADDRESS_BYTES)
        __builtin_memcpy(host, address->ipv6, sizeof(address->ipv6));
    else
        return 0;
    return 1;
}
