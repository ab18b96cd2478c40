/** What of this machine stands in the way of interception, told from facts before anything is tried: each with the sentence that mends it. */

import type { Check } from './check.ts'
import type { Facts } from './facts.ts'

const capNetAdmin = 12n
const capSysAdmin = 21n
const has = ({ capabilities }: Facts, capability: bigint): boolean => ((capabilities >> capability) & 1n) === 1n

/** In the order in which a person would mend them. Empty where nothing stands in the way. */
export function restrictions(facts: Facts): Check[] {
  return [...namespaces(facts), ...hostWide(facts), ...names(facts)]
}

/** What `weft run` needs. */
function namespaces(facts: Facts): Check[] {
  const { isRoot, container, seccomp, maxUserNamespaces, maxNetNamespaces } = facts
  const name = 'user namespaces'
  const fallback = 'weft run then uses HTTP_PROXY and a loopback address per service'
  const warn = (says: string, remedy: string): Check => ({ name, ok: 'warn', says: `${says}; ${fallback}`, remedy })
  const isFree = has(facts, capSysAdmin)
  const found: Check[] = []
  if (facts.apparmorRestrictsUserns && !isRoot)
    found.push(
      warn(
        'AppArmor keeps ordinary users from using them (kernel.apparmor_restrict_unprivileged_userns=1, the default of Ubuntu 24.04)',
        'give unshare and node an AppArmor profile that says `userns,`, or for all: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
      ),
    )
  if (facts.unprivilegedUsernsClone === false && !isRoot)
    found.push(warn('kernel.unprivileged_userns_clone is 0: only root may make them', 'sudo sysctl -w kernel.unprivileged_userns_clone=1'))
  if (maxUserNamespaces === 0 && !isFree)
    found.push(warn('user.max_user_namespaces is 0: nobody may make one', 'sudo sysctl -w user.max_user_namespaces=15000'))
  if (maxNetNamespaces === 0)
    found.push(warn('user.max_net_namespaces is 0: no network namespace can be made', 'sudo sysctl -w user.max_net_namespaces=15000'))
  if (container !== undefined && isRoot && !isFree)
    found.push(
      warn(
        `this is a container (${container}) whose root lacks CAP_SYS_ADMIN${has(facts, capNetAdmin) ? '' : ' and CAP_NET_ADMIN'}`,
        `start it with --cap-add SYS_ADMIN --cap-add NET_ADMIN${container === 'kubernetes' ? ' (securityContext.capabilities.add)' : ''}, or run weft as an ordinary user in it where its seccomp profile allows user namespaces`,
      ),
    )
  if (container !== undefined && seccomp === 2 && !isFree)
    found.push(
      warn(
        `the seccomp filter of this container (${container}) may forbid unshare and mount`,
        container === 'kubernetes'
          ? 'set seccompProfile: { type: Unconfined } for the pod, or a profile that allows unshare, mount and setns'
          : 'start it with --security-opt seccomp=unconfined, or a profile that allows unshare, mount and setns',
      ),
    )
  return found
}

/** What `weft capture` needs. */
function hostWide(facts: Facts): Check[] {
  const { tools, isRoot } = facts
  const name = 'host-wide capture'
  if (!tools.nft && !tools.iptables)
    return [
      {
        name,
        ok: 'warn',
        says: 'neither nft nor iptables is installed; weft capture needs one of them',
        remedy: 'apt-get install nftables',
      },
    ]
  if (isRoot && !has(facts, capNetAdmin))
    return [
      {
        name,
        ok: 'warn',
        says: 'root lacks CAP_NET_ADMIN here; weft capture cannot change the packet filter',
        remedy: 'start the container with --cap-add NET_ADMIN',
      },
    ]
  if (!tools.nft)
    return [
      {
        name,
        ok: 'warn',
        says: 'nft is not installed; weft capture uses iptables, whose rules stay when it is killed, and has no TPROXY',
        remedy: 'apt-get install nftables',
      },
    ]
  return []
}

/** Ways by which programs learn addresses without asking DNS: those the mesh does not see. `weft run` covers them for its programs. */
function names({ hostsBy, nameservers, isNscdRunning }: Facts): Check[] {
  const name = 'names of captured programs'
  const found: Check[] = []
  if (hostsBy.includes('resolve'))
    found.push({
      name,
      ok: 'warn',
      says: 'nss-resolve asks systemd-resolved by a socket file, past DNS: programs under weft capture would not find services by name (weft run covers it)',
      remedy:
        'remove "resolve [!UNAVAIL=return]" from the line "hosts:" of /etc/nsswitch.conf; names then go by 127.0.0.53, which is captured',
    })
  else if (nameservers.length > 0 && nameservers.every(server => server === '127.0.0.53' || server === '127.0.0.54'))
    found.push({
      name,
      ok: 'yes',
      says: 'systemd-resolved at 127.0.0.53 is recognised: questions of captured programs are answered before it',
    })
  if (isNscdRunning)
    found.push({
      name,
      ok: 'warn',
      says: 'nscd answers names by a socket file and keeps them: programs under weft capture would not find services by name (weft run covers it)',
      remedy: 'sudo systemctl disable --now nscd, or in /etc/nscd.conf: enable-cache hosts no',
    })
  return found
}
