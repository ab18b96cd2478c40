/** The workload's /etc/resolv.conf and /etc/hosts: the mesh answers its DNS, and what is local stays local. */

import { ownAddresses } from './rules.ts'

/**
 * Any server address would do, for all DNS is redirected. The search list lets plain names mean the workload's own namespace first, as on Kubernetes,
 * then what the machine searches; `ndots:1` asks names with a dot as they are first, so that outside names cost one query (resolv.conf(5): at most six domains before glibc 2.26).
 */
export function resolvConf(namespace: string, machines: string): string {
  const found = [...machines.matchAll(/^\s*(?:search|domain)\s+(.*)$/gm)].at(-1)?.[1] ?? ''
  const search = [
    `${namespace}.svc.cluster.local`,
    'svc.cluster.local',
    'cluster.local',
    ...found.split(/\s+/).filter(domain => domain !== '' && domain !== '.'),
  ]
  return `# written by weft: this workload's DNS is answered by the mesh\nnameserver 127.0.0.1\nsearch ${[...new Set(search)].join(' ')}\noptions ndots:1\n`
}

/**
 * localhost and the machine's own name lead back to the workload. Of the machine's file, what names other machines is kept; its loopback entries are not,
 * for they mean another loopback, and a leftover `127.0.0.1 redis` would hide the service of that name.
 */
export function hosts(hostname: string, machines: string): string {
  const kept = machines.split('\n').flatMap(line => {
    const [address = '', ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/)
    const others = names.filter(name => name !== hostname)
    return others.length === 0 || /^(127\.|::1$|0\.0\.0\.0$)/.test(address) ? [] : [`${address}\t${others.join(' ')}`]
  })
  return `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n${ownAddresses.ipv4}\t${hostname}\n${kept.join('\n')}\n`
}
