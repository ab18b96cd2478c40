/** What a workload's network namespace looks like from inside: addresses, routes and the capture rules, as input of `ip` and `nft`. */

/** Where captured connections and DNS arrive inside the namespace. */
export const capturePort = 15001
export const dnsPort = 15053

/**
 * The workload's own address beside loopback: what programs find when they ask for "this machine's address", and the source of what they send.
 * 192.0.0.0/29 is reserved for addresses that never leave a host (RFC 7335), so no real destination is hidden; the IPv6 one is a ULA (RFC 4193).
 */
export const ownAddresses = { ipv4: '192.0.0.2', ipv6: 'fd77:6566:7400::2' } as const

/** For `ip -batch -`. Every address is local, so that a connection to any of them can be redirected here. `lo` alone does: some kernels have no `dummy` device. */
export const links = (ipv6: boolean): string =>
  [
    'link set lo up',
    `address add ${ownAddresses.ipv4}/32 dev lo`,
    `route add local default dev lo src ${ownAddresses.ipv4}`,
    ...(ipv6 ? [`address add ${ownAddresses.ipv6}/128 dev lo`, 'route add local ::/0 dev lo'] : []),
    '',
  ].join('\n')

/** For `nft -f -`: what must be there. DNS comes first, for resolvers that ask 127.0.0.1 or 127.0.0.53. */
export const capture = `
table inet weft {
  chain capture {
    type nat hook output priority -100;
    meta l4proto { tcp, udp } th dport 53 redirect to :${dnsPort}
    ip daddr { 127.0.0.0/8, ${ownAddresses.ipv4} } return
    ip6 daddr { ::1, ${ownAddresses.ipv6} } return
    meta l4proto tcp redirect to :${capturePort}
  }
}
`

/**
 * Nice to have, where the kernel can: loopback connections skip connection tracking (cheaper, and they cannot fill its table);
 * UDP and ICMP to anywhere else fail at once, for the namespace has no way out that would carry them.
 */
export const comforts = `
table inet weft {
  chain untracked {
    type filter hook output priority -300;
    ip saddr 127.0.0.0/8 ip daddr 127.0.0.0/8 tcp dport != { 53, ${capturePort}, ${dnsPort} } tcp sport != { ${capturePort}, ${dnsPort} } notrack
    ip6 saddr ::1 ip6 daddr ::1 tcp dport != { 53, ${capturePort}, ${dnsPort} } tcp sport != { ${capturePort}, ${dnsPort} } notrack
  }
  chain elsewhere {
    type filter hook output priority 0;
    ip daddr { 127.0.0.0/8, ${ownAddresses.ipv4} } accept
    ip6 daddr { ::1, ${ownAddresses.ipv6} } accept
    meta l4proto tcp accept
    reject
  }
}
`

/** Written below /proc/sys where it can be; `ip_unprivileged_port_start`: the namespace is the workload's own, so an ordinary user may listen on port 80. */
export const settings: readonly (readonly [string, string])[] = [
  ['net/ipv4/ip_unprivileged_port_start', '0'],
  ['net/netfilter/nf_conntrack_tcp_timeout_time_wait', '5'],
]
