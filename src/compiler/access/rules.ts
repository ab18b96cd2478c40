/** The rules of an AccessPolicy as conditions: patterns of identities, paths in normal form, networks, claims, times. */

import { defaultIdTemplate, idBy, idPattern, type IdTemplates, templateOf } from '#base/id-template'
import { networkOf, readPath } from '#model/access'
import type { AccessCondition, TextMatch, TimeWindow } from '#model/access-rule'
import { claimPath } from '#model/claims'
import type { GuardOperation, GuardRule } from '#model/mesh'
import type { AccessOperation, AccessPath, AccessPolicy, AccessSource, AccessWindow } from '#resources/weft'
import { nameOf, namespaceOf } from '../gather.ts'

/** problems: what cannot be carried out, with its field. */
export type Lowered = { readonly rules: readonly GuardRule[]; readonly problems: readonly string[] }

/** idTemplates: of all trust domains where they are not the default. */
export function lowerRules(policy: AccessPolicy, trustDomain: string, idTemplates: IdTemplates): Lowered {
  const { action = 'Allow', audits = 'Deny', rules = [] } = policy.spec ?? {}
  const isAllow = (action === 'Audit' ? audits : action) === 'Allow'
  const problems: string[] = []
  /** What cannot be compared is left out of a denial, which then denies more; what allows by it does not allow. */
  const kept = (conditions: readonly (AccessCondition | string)[]): readonly AccessCondition[] | undefined => {
    const bad = conditions.filter(each => typeof each === 'string')
    problems.push(...bad)
    return bad.length > 0 && isAllow ? undefined : conditions.filter(each => typeof each !== 'string')
  }
  const lowered = rules.flatMap((rule, at): readonly GuardRule[] => {
    const path = `spec.rules[${at}]`
    const from = (rule.from ?? []).flatMap((source, nth) => {
      const all = kept(lowerSource(source, policy, trustDomain, idTemplates, isAllow, `${path}.from[${nth}]`))
      return all === undefined ? [] : [all]
    })
    const to = (rule.to ?? []).flatMap((operation, nth): readonly GuardOperation[] => {
      const http = kept(lowerOperation(operation, isAllow, `${path}.to[${nth}]`))
      return http === undefined ? [] : [{ ports: operation.ports ?? [], notPorts: operation.notPorts ?? [], http }]
    })
    if ((rule.from !== undefined && from.length === 0) || (rule.to !== undefined && to.length === 0)) return []
    const when = rule.when?.map(lowerWindow)
    return [{ name: `${nameOf(policy)}#${at}`, from, to, ...(when === undefined ? {} : { when }) }]
  })
  return { rules: lowered, problems }
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

function lowerWindow({ notBefore, notAfter, days, from = '00:00', to = '24:00', timeZone }: AccessWindow): TimeWindow {
  const minutes = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3))
  const on = weekdays.flatMap((day, at) => (days === undefined || (days as readonly string[]).includes(day) ? [at] : []))
  return {
    ...(notBefore === undefined ? {} : { notBefore: Date.parse(notBefore) }),
    ...(notAfter === undefined ? {} : { notAfter: Date.parse(notAfter) }),
    ...(timeZone === undefined ? {} : { weekly: { days: on, from: minutes(from), to: minutes(to), timeZone } }),
  }
}

/** Texts are what is wrong. */
function lowerSource(
  source: AccessSource,
  policy: AccessPolicy,
  own: string,
  idTemplates: IdTemplates,
  isAllow: boolean,
  path: string,
): readonly (AccessCondition | string)[] {
  const { trustDomains } = source
  const domains = trustDomains ?? [own]
  const namespaced = (names: readonly string[], of: readonly string[]): readonly TextMatch[] =>
    of.flatMap(domain => {
      const template = templateOf(idTemplates, domain)
      // All ids of the mesh itself have this form, so that their beginning tells them. Of what others sign the whole is looked at.
      const isPlain = domain === own && template === defaultIdTemplate
      return names.map(name =>
        isPlain
          ? ({ type: 'prefix', value: `spiffe://${domain}/ns/${name}/` } as const)
          : ({ type: 'regex', value: idPattern(template, domain, name) } as const),
      )
    })
  const accounts = (names: readonly string[], of: readonly string[]): readonly TextMatch[] =>
    of.flatMap(domain =>
      names.map(name => {
        const [namespace = '', serviceAccount = ''] = name.includes('/') ? name.split('/') : [namespaceOf(policy), name]
        return { type: 'exact', value: idBy(templateOf(idTemplates, domain), domain, { namespace, serviceAccount }) } as const
      }),
    )
  const inDomains = (of: readonly string[]): readonly TextMatch[] => of.map(domain => ({ type: 'prefix', value: `spiffe://${domain}/` }))
  /** Where nothing can be read from an id, it is not let in for what is not read. */
  const readable = (of: readonly string[]): readonly TextMatch[] =>
    of.map(domain => ({ type: 'regex', value: idPattern(templateOf(idTemplates, domain), domain) }))
  const who = (any: readonly TextMatch[]): AccessCondition => ({ on: 'identity', any })
  const not = (any: readonly TextMatch[]): AccessCondition => ({ on: 'identity', any, not: true })
  const { identities, namespaces, serviceAccounts, ipBlocks, claims = [], issuers } = source
  const { notIdentities, notNamespaces, notServiceAccounts, notTrustDomains, notIpBlocks } = source
  const negative = [
    ...(notIdentities === undefined ? [] : [not(notIdentities.map(patternOf))]),
    ...(notNamespaces === undefined ? [] : [not(namespaced(notNamespaces, domains))]),
    ...(notServiceAccounts === undefined ? [] : [not(accounts(notServiceAccounts, domains))]),
    ...(notTrustDomains === undefined ? [] : [not(inDomains(notTrustDomains))]),
  ]
  const networks = (list: readonly string[] | undefined, field: string, isNot: boolean): readonly (AccessCondition | string)[] => {
    if (list === undefined) return []
    const bad = list.find(each => networkOf(each) === undefined)
    if (bad !== undefined) return [`${path}.${field}: "${bad}" is no address and no network`]
    return [{ on: 'address', networks: list.map(withLength), ...(isNot ? { not: true as const } : {}) }]
  }
  return [
    ...(identities === undefined ? [] : [who(identities.map(patternOf))]),
    ...(namespaces === undefined ? [] : [who(namespaced(namespaces, domains))]),
    ...(serviceAccounts === undefined ? [] : [who(accounts(serviceAccounts, domains))]),
    ...(trustDomains === undefined ? [] : [who(inDomains(trustDomains))]),
    ...(isAllow && trustDomains !== undefined && (notNamespaces ?? notServiceAccounts) !== undefined ? [who(readable(trustDomains))] : []),
    // Who proves nothing is none of anybody, and is not let in by that.
    ...(negative.length > 0 && isAllow ? [who([anyIdentity])] : []),
    ...negative,
    ...networks(ipBlocks, 'ipBlocks', false),
    ...networks(notIpBlocks, 'notIpBlocks', true),
    ...(issuers === undefined
      ? []
      : [{ on: 'claim', path: ['iss'], any: issuers.map(value => ({ type: 'exact', value }) as const) } as const]),
    ...claims.map(({ name, values }) => ({ on: 'claim', path: claimPath(name), any: values.map(valueMatch) }) as const),
  ]
}

/** In one form, which Envoy reads as we do: IPv4 inside IPv6 as IPv4. */
function withLength(network: string): string {
  const { value, bits, length } = networkOf(network)!
  const dotted = [24n, 16n, 8n, 0n].map(shift => (value >> shift) & 255n).join('.')
  return `${bits === 32 ? dotted : network.split('/')[0]}/${length}`
}

const anyIdentity: TextMatch = { type: 'prefix', value: 'spiffe://' }

/** `*` at one end: anything; elsewhere: a part between slashes. */
export function patternOf(pattern: string): TextMatch {
  if (pattern === '*') return anyIdentity
  const stars = pattern.split('*').length - 1
  if (stars === 0) return { type: 'exact', value: pattern }
  if (stars === 1 && pattern.endsWith('*')) return { type: 'prefix', value: pattern.slice(0, -1) }
  if (stars === 1 && pattern.startsWith('*')) return { type: 'suffix', value: pattern.slice(1) }
  const parts = pattern.split('*').map(escaped)
  const start = pattern.startsWith('*') ? '.*' : parts[0]!
  const end = pattern.endsWith('*') ? '.*' : `[^/]*${parts.at(-1)!}`
  return {
    type: 'regex',
    value: `${start}${parts
      .slice(1, -1)
      .map(part => `[^/]*${part}`)
      .join('')}${end}`,
  }
}

const escaped = (text: string): string =>
  text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, char => (char === '/' || char === '-' ? char : `\\${char}`))

/** isAllow: it lets in. Texts are what is wrong. */
export function lowerOperation(
  operation: Omit<AccessOperation, 'ports' | 'notPorts'>,
  isAllow: boolean,
  path: string,
): readonly (AccessCondition | string)[] {
  const { methods, paths, hosts, headers, grpc, notMethods, notPaths, notHosts } = operation
  const exact = (values: readonly string[]): readonly TextMatch[] => values.map(value => ({ type: 'exact', value }))
  const on = (kind: 'method' | 'host', any: readonly TextMatch[], isNot = false): AccessCondition => ({
    on: kind,
    any,
    ...(isNot ? { not: true as const } : {}),
  })
  const pathsOf = (list: readonly AccessPath[] | undefined, field: string, isNot: boolean): readonly (AccessCondition | string)[] => {
    if (list === undefined) return []
    const bad = list.findIndex(each => !isNormal(each))
    if (bad >= 0) return [`${path}.${field}[${bad}].value: "${list[bad]!.value}" is not in normal form: no request is compared as such`]
    return [{ on: 'path', any: list.flatMap(lowerPath), ...(isNot ? { not: true as const } : {}) }]
  }
  // A call is a POST; but some servers of gRPC carry out whatever method comes, so that what shuts out does not look at it.
  const calls = (grpc ?? []).map(
    ({ service, method }): TextMatch =>
      method === undefined ? { type: 'prefix', value: `/${service}/` } : { type: 'exact', value: `/${service}/${method}` },
  )
  return [
    ...(methods === undefined ? [] : [on('method', exact(methods))]),
    ...(notMethods === undefined ? [] : [on('method', exact(notMethods), true)]),
    ...pathsOf(paths, 'paths', false),
    ...pathsOf(notPaths, 'notPaths', true),
    ...(calls.length === 0 ? [] : [{ on: 'path' as const, any: calls }, ...(isAllow ? [on('method', exact(['POST']))] : [])]),
    ...(hosts === undefined ? [] : [on('host', hosts.map(hostMatch))]),
    ...(notHosts === undefined ? [] : [on('host', notHosts.map(hostMatch), true)]),
    ...(headers ?? []).flatMap(({ name, values, notValues }): readonly AccessCondition[] => {
      const header = { on: 'header', name: name.toLowerCase() } as const
      return [
        ...(values === undefined && notValues !== undefined ? [] : [{ ...header, any: (values ?? []).map(valueMatch) }]),
        ...(notValues === undefined ? [] : [{ ...header, any: notValues.map(valueMatch), not: true as const }]),
      ]
    }),
  ]
}

const isNormal = ({ type, value }: AccessPath): boolean => {
  const whole = type === 'Suffix' ? `/x${value}` : value
  const read = readPath(whole)
  return read !== undefined && read.path === whole && read.other === undefined
}

/** Whole segments. */
function lowerPath({ type, value }: AccessPath): readonly TextMatch[] {
  if (type === 'Exact') return [{ type: 'exact', value }]
  if (type === 'Suffix') return [{ type: 'suffix', value }]
  const bare = value.replace(/\/$/, '')
  return bare === ''
    ? [{ type: 'prefix', value: '/' }]
    : [
        { type: 'exact', value: bare },
        { type: 'prefix', value: `${bare}/` },
      ]
}

const hostMatch = (host: string): TextMatch =>
  host.startsWith('*.') ? { type: 'suffix', value: host.slice(1) } : { type: 'exact', value: host }

const valueMatch = (value: string): TextMatch =>
  value.length > 1 && value.endsWith('*')
    ? { type: 'prefix', value: value.slice(0, -1) }
    : value.length > 1 && value.startsWith('*')
      ? { type: 'suffix', value: value.slice(1) }
      : { type: 'exact', value }
