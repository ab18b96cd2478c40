/** Host-wide interception as one nftables table, in one line, so that it stands whole or not at all. */

import type { Exclusions } from '#base/exclusions'
import type { Cgroup } from './cgroup.ts'
import { type Plan, virtualBlocks } from './plan.ts'

/** owned: the kernel takes the table away when the process that made it ends, however it ends (Linux 5.12). */
export function nftTable(name: string, plan: Plan, owned: boolean): string {
  const chains = [
    `chain outbound { type nat hook output priority -100; ${outbound(plan).join('; ')}; }`,
    `chain selected { ${selected(plan).join('; ')}; }`,
    ...(plan.inbound.length > 0 ? [`chain inbound { ${inbound(plan).join('; ')}; }`] : []),
  ]
  // A jump needs its chain to be known.
  return `table inet ${name} { ${owned ? 'flags owner; ' : ''}${[chains[1], chains[0], ...chains.slice(2)].join('; ')}; }`
}

/** The proxy's own connections first, so that none comes back to it. */
function outbound({ select, gid }: Plan): string[] {
  const whom = select.all ? [''] : [...select.uids.map(uid => `meta skuid ${quoted(uid)} `), ...select.cgroups.map(cgroupMatch)]
  return [`meta skgid ${gid} return`, ...whom.map(match => `${match}jump selected`)]
}

const quoted = (value: string): string => (/^\d+$/.test(value) ? value : `"${value}"`)

const cgroupMatch = ({ nft, level }: Cgroup): string => `socket cgroupv2 level ${level} "${nft}" `

/** DNS comes before loopback, for systemd-resolved is asked at 127.0.0.53. */
function selected({ exclude, ports, ipv6 }: Plan): string[] {
  return [
    ...exclude.outboundUids.map(uid => `meta skuid ${quoted(uid)} return`),
    `meta nfproto ipv4 meta l4proto { tcp, udp } th dport 53 redirect to :${ports.dns}`,
    ...(ipv6 ? [`meta nfproto ipv6 meta l4proto { tcp, udp } th dport 53 redirect to :${ports.dns}`] : []),
    'ip daddr 127.0.0.0/8 return',
    'ip6 daddr ::1 return',
    ...leftOut('daddr', exclude.outboundCidrs),
    ...portsLeftOut(exclude.outboundPorts),
    `meta l4proto tcp redirect to :${ports.outbound}`,
  ]
}

function inbound({ mode, exclude, inbound: captured, ports, ipv6 }: Plan): string[] {
  const dports = `tcp dport { ${captured.join(', ')} }`
  const skip = ['iif lo return', ...leftOut('saddr', exclude.inboundCidrs), ...portsLeftOut(exclude.inboundPorts)]
  if (mode === 'redirect') return ['type nat hook prerouting priority -100', ...skip, `${dports} redirect to :${ports.inbound}`]
  return [
    'type filter hook prerouting priority -150',
    ...skip,
    `${dports} fib daddr type local meta nfproto ipv4 tproxy ip to :${ports.inbound}`,
    ...(ipv6 ? [`${dports} fib daddr type local meta nfproto ipv6 tproxy ip6 to :${ports.inbound}`] : []),
  ]
}

function leftOut(which: 'daddr' | 'saddr', cidrs: Exclusions['outboundCidrs']): string[] {
  const six = cidrs.filter(cidr => cidr.includes(':'))
  const four = cidrs.filter(cidr => !cidr.includes(':'))
  return [
    ...(four.length > 0 ? [`ip ${which} { ${four.join(', ')} } return`] : []),
    ...(six.length > 0 ? [`ip6 ${which} { ${six.join(', ')} } return`] : []),
  ]
}

const portsLeftOut = (ports: readonly string[]): string[] => (ports.length > 0 ? [`tcp dport { ${ports.join(', ')} } return`] : [])

/**
 * For `ip -batch -`. Without a route a connection fails before any rule sees it; with a local one it never leaves the machine, whoever makes it.
 * The source is loopback, for that is where the proxy is.
 */
export const routes = (act: 'replace' | 'del'): string =>
  virtualBlocks
    .map(block => `route ${act} local ${block} dev lo src 127.0.0.1`)
    .join('\n')
    .concat('\n')
