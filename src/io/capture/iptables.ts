/** Host-wide interception for machines without nft: the same in chains of iptables, added and taken away whole by iptables-restore. */

import { chainOf, type Owner, type Plan } from './plan.ts'

export type Family = 4 | 6

/** For `iptables-restore --noflush` or `ip6tables-restore --noflush`. Redirect only. */
export function iptablesRules(owner: Owner, plan: Plan, family: Family): string {
  const { select, exclude, inbound, ports, gid } = plan
  const [all, selected, callers] = [chainOf(owner, 'A'), chainOf(owner, 'S'), chainOf(owner, 'I')]
  const ours = (cidrs: readonly string[]): readonly string[] => cidrs.filter(cidr => cidr.includes(':') === (family === 6))
  const portMatch = (port: string): string => `-p tcp --dport ${port.replace('-', ':')}`
  const whom = select.all
    ? ['']
    : [...select.uids.map(uid => `-m owner --uid-owner ${uid} `), ...select.cgroups.map(({ path }) => `-m cgroup --path ${path} `)]
  const rules = [
    `-A ${all} -m owner --gid-owner ${gid} -j RETURN`,
    ...whom.map(match => `-A ${all} ${match}-j ${selected}`),
    ...exclude.outboundUids.map(uid => `-A ${selected} -m owner --uid-owner ${uid} -j RETURN`),
    ...['udp', 'tcp'].map(kind => `-A ${selected} -p ${kind} --dport 53 -j REDIRECT --to-ports ${ports.dns}`),
    `-A ${selected} -d ${family === 6 ? '::1/128' : '127.0.0.0/8'} -j RETURN`,
    ...ours(exclude.outboundCidrs).map(cidr => `-A ${selected} -d ${cidr} -j RETURN`),
    ...exclude.outboundPorts.map(port => `-A ${selected} ${portMatch(port)} -j RETURN`),
    `-A ${selected} -p tcp -j REDIRECT --to-ports ${ports.outbound}`,
    `-A ${callers} -i lo -j RETURN`,
    ...ours(exclude.inboundCidrs).map(cidr => `-A ${callers} -s ${cidr} -j RETURN`),
    ...exclude.inboundPorts.map(port => `-A ${callers} ${portMatch(port)} -j RETURN`),
    ...inbound.map(port => `-A ${callers} -p tcp --dport ${port} -j REDIRECT --to-ports ${ports.inbound}`),
    `-I OUTPUT 1 -j ${all}`,
    `-I PREROUTING 1 -j ${callers}`,
  ]
  return `*nat\n${[all, selected, callers].map(chain => `:${chain} - [0:0]\n`).join('')}${rules.join('\n')}\nCOMMIT\n`
}

/** For the same command: takes away what `iptables-save -t nat` shows of that owner. undefined: there is nothing. */
export function iptablesRemoval(owner: Owner, saved: string): string | undefined {
  const chains = (['A', 'S', 'I'] as const).map(part => chainOf(owner, part)).filter(chain => saved.includes(`:${chain} `))
  if (chains.length === 0) return undefined
  const jumps = saved
    .split('\n')
    .filter(line => /^-A (OUTPUT|PREROUTING) /.test(line) && chains.some(chain => line.endsWith(` -j ${chain}`)))
  const lines = [
    ...jumps.map(line => line.replace(/^-A/, '-D')),
    ...chains.map(chain => `-F ${chain}`),
    ...chains.map(chain => `-X ${chain}`),
  ]
  return `*nat\n${lines.join('\n')}\nCOMMIT\n`
}
