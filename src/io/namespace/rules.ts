/** What a workload's network namespace looks like from inside: addresses, routes and the capture rules, as input of `ip` and `nft`. */

import { type Exclusions, noExclusions } from '#base/exclusions'

/** Where captured connections and DNS arrive inside the namespace; and those connections that are left out of the mesh, which have no other way. */
export const capturePort = 15001
export const excludedPort = 15002
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
export const capture = (exclude: Exclusions = noExclusions): string => `
table inet weft {
  chain capture {
    type nat hook output priority -100;
    meta l4proto { tcp, udp } th dport 53 redirect to :${dnsPort}
    ip daddr { 127.0.0.0/8, ${ownAddresses.ipv4} } return
    ip6 daddr { ::1, ${ownAddresses.ipv6} } return
${leftOut(exclude)}    meta l4proto tcp redirect to :${capturePort}
  }
}
`

function leftOut({ outboundPorts, outboundCidrs, outboundUids }: Exclusions): string {
  const to = `redirect to :${excludedPort}`
  const [six, four] = [true, false].map(isSix => outboundCidrs.filter(cidr => cidr.includes(':') === isSix))
  const rules = [
    ...listed('tcp dport', outboundPorts),
    ...listed('ip daddr', four!).map(match => `${match} meta l4proto tcp`),
    ...listed('ip6 daddr', six!).map(match => `${match} meta l4proto tcp`),
    // Said apart: a user that this machine does not know must not take the others with it.
    ...outboundUids.map(uid => `meta skuid ${/^\d+$/.test(uid) ? uid : `"${uid}"`} meta l4proto tcp`),
  ]
  return rules.map(match => `    ${match} ${to}\n`).join('')
}

const listed = (what: string, values: readonly string[]): string[] => (values.length === 0 ? [] : [`${what} { ${values.join(', ')} }`])

/**
 * Datagrams, where the kernel can: TPROXY keeps where they were going, and leads the first of a flow to one socket, all others to the socket of the flow.
 * They come by here because every address is local.
 */
export const datagrams = `
table inet weft {
  chain datagrams {
    type filter hook prerouting priority mangle;
    ip daddr { 127.0.0.0/8, ${ownAddresses.ipv4} } return
    ip6 daddr { ::1, ${ownAddresses.ipv6} } return
    meta l4proto udp meta nfproto ipv4 tproxy ip to 127.0.0.1:${capturePort}
    meta l4proto udp meta nfproto ipv6 tproxy ip6 to [::1]:${capturePort}
  }
}
`

/**
 * Nice to have, where the kernel can: loopback connections skip connection tracking (cheaper, and they cannot fill its table);
 * UDP and ICMP to anywhere else fail at once, for the namespace has no way out that would carry them.
 */
export const comforts = (datagrams: boolean): string => `
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
${datagrams ? '    ip daddr { 224.0.0.0/4, 255.255.255.255 } reject\n    ip6 daddr ff00::/8 reject\n    meta l4proto udp accept\n' : ''}    reject
  }
}
`

/** Written below /proc/sys where it can be; `ip_unprivileged_port_start`: the namespace is the workload's own, so an ordinary user may listen on port 80. */
export const settings: readonly (readonly [string, string])[] = [
  ['net/ipv4/ip_unprivileged_port_start', '0'],
  ['net/netfilter/nf_conntrack_tcp_timeout_time_wait', '5'],
]
