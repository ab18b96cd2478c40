/** What a workload may call that is no service of the mesh: the rules as a proxy is told them, and what they make of one destination. */

import { isIn } from './access/network.ts'
import { readPath } from './access/path.ts'
import type { TextMatch } from './access-rule.ts'

/** What is denied comes first, then what is allowed, then the default. policy: `NAMESPACE/NAME` of who gave the default; '' where nobody did. */
export type Egress = {
  readonly default: 'allow' | 'deny'
  readonly policy: string
  readonly deny: readonly EgressRule[]
  readonly allow: readonly EgressRule[]
}
/** name: `NAMESPACE/POLICY#RULE`. It fits where one of `to` does, of which all that it says must; none: everything. */
export type EgressRule = { readonly name: string; readonly to: readonly EgressTarget[] }
/** hosts: lower case, exact or `*.suffix` for all names below it. networks: CIDR. methods and paths: of HTTP that can be read. No target has both hosts and networks. */
export type EgressTarget = {
  readonly hosts?: readonly string[]
  readonly networks?: readonly string[]
  readonly ports?: readonly number[]
  readonly methods?: readonly string[]
  readonly paths?: readonly TextMatch[]
}

/** name: by which it was asked for: of TLS the server name, of HTTP the host, else what DNS was asked. address: where it would go; absent where that is not known yet. request: absent where no HTTP is seen. */
export type Destination = {
  readonly name?: string | undefined
  readonly address?: string | undefined
  readonly port: number
  readonly request?: { readonly method: string; readonly path: string } | undefined
}

/** rule: of which policy and place, as its name; absent: the default decided. */
export type EgressVerdict = { readonly isAllowed: boolean; readonly rule?: string }

export const openEgress: Egress = { default: 'allow', policy: '', deny: [], allow: [] }

/** What is denied by what cannot be seen is denied; what is allowed by what cannot be seen is not allowed. */
export function judgeEgress({ default: otherwise, deny, allow }: Egress, destination: Destination): EgressVerdict {
  const denied = deny.find(rule => fits(rule, destination, true))
  if (denied !== undefined) return { isAllowed: false, rule: denied.name }
  const allowed = allow.find(rule => fits(rule, destination, false))
  if (allowed !== undefined) return { isAllowed: true, rule: allowed.name }
  return { isAllowed: otherwise === 'allow' }
}

const fits = ({ to }: EgressRule, destination: Destination, ofUnseen: boolean): boolean =>
  to.length === 0 || to.some(target => targetFits(target, destination, ofUnseen))

function targetFits({ hosts, networks, ports, methods, paths }: EgressTarget, destination: Destination, ofUnseen: boolean): boolean {
  const { name, address, port, request } = destination
  if (ports !== undefined && !ports.includes(port)) return false
  if (hosts !== undefined && !hosts.some(host => isHost(host, name))) return false
  if (networks !== undefined && !networks.some(network => isIn(address, network))) return false
  if (methods === undefined && paths === undefined) return true
  if (request === undefined) return ofUnseen
  // What is said in a tunnel nobody sees: only what names the method allows it.
  if (request.method === 'CONNECT') return ofUnseen || (paths === undefined && methods?.includes('CONNECT') === true)
  if (methods !== undefined && !methods.some(each => isMethod(each, request.method, ofUnseen))) return false
  return paths === undefined || isPath(paths, request.path, ofUnseen)
}

/** Some servers take `delete` for DELETE: it is denied as either. */
const isMethod = (one: string, asked: string, ofUnseen: boolean): boolean =>
  one === asked || (ofUnseen && one.toUpperCase() === asked.toUpperCase())

/** A path that servers read in two ways must be allowed as both, and is denied as either. */
function isPath(paths: readonly TextMatch[], asked: string, ofUnseen: boolean): boolean {
  const read = readPath(asked)
  if (read === undefined) return ofUnseen
  const is = (path: string) => paths.some(({ type, value }) => (type === 'exact' ? path === value : path.startsWith(value)))
  if (read.other === undefined) return is(read.path)
  return ofUnseen ? is(read.path) || is(read.other) : is(read.path) && is(read.other)
}

/** pattern: exact, or `*.suffix`, which takes any number of labels and not the suffix itself, as a server name of Envoy does. */
export const isHost = (pattern: string, name: string | undefined): boolean =>
  name !== undefined && (pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1 : name === pattern)

/**
 * A name that a rule may allow is judged by the rules that name hosts, and its connection goes to where the proxy itself finds that name; all
 * else is judged by the others, and goes where it wanted. So neither can borrow what is allowed of the other.
 */
export const forNames = (egress: Egress): Egress => parted(egress).names
export const forAddresses = (egress: Egress): Egress => parted(egress).addresses

type Parts = { readonly names: Egress; readonly addresses: Egress; readonly hosts: readonly string[] }
const known = new WeakMap<Egress, Parts>()

function parted(egress: Egress): Parts {
  let parts = known.get(egress)
  if (parts !== undefined) return parts
  const only = (wanted: (target: EgressTarget) => boolean, all: boolean): readonly EgressRule[] =>
    egress.allow.flatMap(({ name, to }) => {
      const kept = to.filter(wanted)
      return kept.length > 0 || (to.length === 0 && all) ? [{ name, to: kept }] : []
    })
  const names = egress.allow.length === 0 ? egress : { ...egress, allow: only(({ hosts }) => hosts !== undefined, false) }
  const addresses = egress.allow.length === 0 ? egress : { ...egress, allow: only(({ hosts }) => hosts === undefined, true) }
  const hosts = [...new Set(egress.allow.flatMap(({ to }) => to.flatMap(target => target.hosts ?? [])))].sort()
  known.set(egress, (parts = { names, addresses, hosts }))
  return parts
}

/** An ExternalService is allowed but for what is denied. */
export function forServices(egress: Egress): Egress {
  let found = services.get(egress)
  if (found === undefined) services.set(egress, (found = { default: 'allow', policy: '', deny: egress.deny, allow: [] }))
  return found
}
const services = new WeakMap<Egress, Egress>()

/**
 * The same for one whose host is known: what is said of that is decided, and what of addresses is left to who finds them. What is said of other hosts stays: a
 * request may name one of them, and who serves both would answer for it.
 */
export const withoutNames = ({ deny }: Egress, host: string): Egress => ({
  default: 'allow',
  policy: '',
  deny: deny.flatMap(({ name, to }) => {
    const kept = to.flatMap(target => {
      const { hosts, ...rest } = target
      if (rest.networks !== undefined) return []
      return hosts === undefined || hosts.some(each => isHost(each, host)) ? [rest] : [target]
    })
    return kept.length > 0 || to.length === 0 ? [{ name, to: kept.some(each => Object.keys(each).length === 0) ? [] : kept }] : []
  }),
  allow: [],
})

/** The rules that deny an address, whoever leads there: the name of the first; undefined: none. */
export const deniedAt = ({ deny }: Egress, address: string, port: number): string | undefined =>
  deny.find(({ to }) => to.some(target => target.networks !== undefined && targetFits(target, { address, port }, true)))?.name

const ownLoopback = ['127.0.0.0/8', '::1/128', '0.0.0.0/8', '::/128']

/** Whether an address that a name was found to have is one of the proxy's own machine, where it was not asked for: a rule that allows that network by address asks for it. */
export const isOwnLoopback = ({ allow }: Egress, address: string): boolean =>
  ownLoopback.some(network => isIn(address, network)) &&
  !allow.some(({ to }) => to.some(({ networks = [] }) => networks.some(network => isIn(address, network))))

/** The names that a rule may allow, exact and `*.suffix`, in order. */
export const allowedHosts = (egress: Egress): readonly string[] => parted(egress).hosts

/** Why, in the words of logs and explanations. */
export function tellEgress({ default: otherwise, policy }: Egress, { isAllowed, rule }: EgressVerdict): string {
  const does = isAllowed ? 'allows' : 'denies'
  if (rule !== undefined)
    return `rule ${rule.slice(rule.lastIndexOf('#') + 1)} of EgressPolicy ${rule.slice(0, rule.lastIndexOf('#'))} ${does} it`
  if (policy === '') return 'no EgressPolicy says anything of it'
  return `the default of EgressPolicy ${policy}, ${otherwise === 'allow' ? 'Allow' : 'Deny'}, ${does} it`
}
