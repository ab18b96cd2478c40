/** Envoy's RBAC → Access: the two filters as Weft sends them, from others what means the same. Whatever else a policy asks is refused by name. */

import type { JsonObject } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import { networkOf } from '#model/access'
import { spellingsOf } from '#model/access'
import type { Access, AccessCondition, AccessRule, TextMatch } from '#model/access-rule'
import type { Listener } from '#model/listener'
import { accessFilters, anyText, networkFilters, toldLabel, unclearPaths, wrapped } from '../encode/access.ts'
import { escapeRegex } from '../encode/path.ts'
import { windowsOf } from '../encode/windows.ts'
import {
  type Permission,
  type Policy,
  PolicySchema,
  type Principal,
  RBAC_Action,
  type RBAC as Rules,
  RBACSchema as RulesSchema,
} from '../gen/envoy/config/rbac/v3/rbac_pb.ts'
import { type HeaderMatcher, HeaderMatcherSchema } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { RBACPerRouteSchema, RBACSchema as HttpSchema } from '../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import { RBACSchema as NetworkSchema } from '../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts'
import type { StringMatcher } from '../gen/envoy/type/matcher/v3/string_pb.ts'
import { carries, refuse, unpack } from './carried.ts'
import { decodeClaim } from './tokens.ts'

const checkHttp = carries(HttpSchema, ['rules', 'shadow_rules', 'rules_stat_prefix', 'shadow_rules_stat_prefix'])
const checkNetwork = carries(NetworkSchema, ['rules', 'shadow_rules', 'stat_prefix', 'shadow_rules_stat_prefix'])
const checkRules = carries(RulesSchema, ['action', 'policies'])
const checkPolicy = carries(PolicySchema, ['permissions', 'principals', 'condition'])
const checkHeader = carries(HeaderMatcherSchema, ['name', 'string_match', 'exact_match', 'present_match'])

/** labels: of the listener. What is no match is left out: it would tell somebody. */
export function toldOf(labels: JsonObject): Pick<Listener, 'tellsWhy'> {
  const said = labels[toldLabel]
  if (!Array.isArray(said)) return {}
  return {
    tellsWhy: said.flatMap((each): readonly TextMatch[] => {
      if (typeof each !== 'object' || each === null || Array.isArray(each)) return []
      const { type, value } = each
      return (type === 'exact' || type === 'prefix' || type === 'suffix' || type === 'regex') && typeof value === 'string'
        ? [{ type, value }]
        : []
    }),
  }
}

type Part = { readonly rules?: Rules | undefined; readonly shadowRules?: Rules | undefined }

/** configs: of a route, by name of the filter. */
export function decodeAccess(configs: Readonly<Record<string, Any>>, at: (key: string) => string): { access?: Access } {
  const part = (key: string): Part | undefined => {
    const config = configs[key]
    if (config === undefined) return undefined
    const { rbac } = unpack(config, RBACPerRouteSchema, at(key))
    if (rbac === undefined) refuse(at(key), 'rbac is missing: that would switch rules off')
    checkHttp(rbac, `${at(key)}.rbac`)
    return rbac
  }
  return joined(part(accessFilters.deny), part(accessFilters.allow), at(accessFilters.deny), at(accessFilters.allow))
}

type Filter = { readonly name: string; readonly configType: { readonly case?: string | undefined; readonly value?: unknown } }

/** Filters in front of the one that carries opaque bytes on, or of a router. */
export function decodeAccessFilters(filters: readonly Filter[], kind: 'network' | 'http', where: string): { access?: Access } {
  const names = kind === 'network' ? networkFilters : accessFilters
  const found = new Map<string, Part>()
  for (const { name, configType } of filters) {
    const at = `${where}: ${name}`
    if (name !== names.deny && name !== names.allow) refuse(at, 'not carried out by this proxy here')
    if (found.has(name) || (name === names.deny && found.size > 0)) refuse(at, 'stands once, and denies before it allows')
    if (configType.case !== 'typedConfig') refuse(at, 'only typed_config is carried out')
    if (kind === 'network') {
      const rbac = unpack(configType.value as Any, NetworkSchema, at)
      checkNetwork(rbac, at)
      found.set(name, rbac)
    } else {
      const rbac = unpack(configType.value as Any, HttpSchema, at)
      checkHttp(rbac, at)
      found.set(name, rbac)
    }
  }
  return joined(found.get(names.deny), found.get(names.allow), where, where)
}

function joined(denies: Part | undefined, allows: Part | undefined, denyAt: string, allowAt: string): { access?: Access } {
  const deny = rulesOf(denies?.rules, RBAC_Action.DENY, `${denyAt}.rules`)
  const allow = rulesOf(allows?.rules, RBAC_Action.ALLOW, `${allowAt}.rules`)
  const auditDeny = rulesOf(denies?.shadowRules, RBAC_Action.DENY, `${denyAt}.shadow_rules`)
  const auditAllow = rulesOf(allows?.shadowRules, RBAC_Action.ALLOW, `${allowAt}.shadow_rules`)
  if (denies === undefined && allows === undefined) return {}
  const audit =
    auditDeny === undefined && auditAllow === undefined
      ? {}
      : { audit: { deny: auditDeny ?? [], ...(auditAllow === undefined ? {} : { allow: auditAllow }) } }
  return { access: { deny: deny ?? [], ...(allow === undefined ? {} : { allow }), ...audit } }
}

/** As `askedRules` has them. */
export const decodeAskedRules = (rules: Rules | undefined, where: string): readonly AccessRule[] =>
  rulesOf(rules, RBAC_Action.DENY, where) ?? refuse(where, 'missing')

function rulesOf(rules: Rules | undefined, action: RBAC_Action, where: string): readonly AccessRule[] | undefined {
  if (rules === undefined) return undefined
  checkRules(rules, where)
  if (rules.action !== action) refuse(`${where}.action`, `must be ${action === RBAC_Action.DENY ? 'DENY' : 'ALLOW'} in this filter`)
  return Object.entries(rules.policies).flatMap(([key, policy]) =>
    key === unclearPaths ? [] : [ruleOf(key, policy, action === RBAC_Action.DENY, `${where}.policies["${key}"]`)],
  )
}

/** This proxy has a way of its own with paths that could be spelled otherwise, so that it takes no notice of the rule that Envoy needs. */
function ruleOf(key: string, policy: Policy, isDenied: boolean, where: string): AccessRule {
  checkPolicy(policy, where)
  const { principals, permissions, condition } = policy
  if (principals.length === 0 || permissions.length === 0) refuse(where, 'principals and permissions are needed')
  const from = principals.map((each, at) => whoOf(each, `${where}.principals[${at}]`))
  const to = permissions.map((each, at) => whatOf(each, isDenied, `${where}.permissions[${at}]`))
  return {
    name: /#\d+$/.test(key) ? key : `${key}#0`,
    from: from.some(all => all.length === 0) ? [] : from,
    to: to.some(all => all.length === 0) ? [] : to,
    ...(condition === undefined
      ? {}
      : { when: windowsOf(condition, isDenied) ?? refuse(`${where}.condition`, 'only the times of an AccessPolicy are carried out') }),
  }
}

/** Empty: anybody. */
function whoOf({ identifier }: Principal, where: string): readonly AccessCondition[] {
  if (identifier.case === 'any') return []
  if (identifier.case === 'andIds') return identifier.value.ids.flatMap((each, at) => whoOf(each, `${where}.and_ids[${at}]`))
  if (identifier.case === 'notId') {
    const [only, ...more] = whoOf(identifier.value, `${where}.not_id`)
    if (only === undefined || more.length > 0 || only.not === true) refuse(`${where}.not_id`, 'only of one or several of the same kind')
    return [{ ...only, not: true }]
  }
  const all = identifier.case === 'orIds' ? identifier.value.ids : [{ identifier }]
  const claims = all.flatMap(({ identifier: one }) => (one.case === 'metadata' ? [decodeClaim(one.value, textOf, where)] : []))
  if (claims.length > 0)
    return claims.length === all.length
      ? [claims.reduce((one, other) => merged(one, other, where))]
      : refuse(where, 'alternatives must be of one kind')
  const networks: string[] = []
  const any: TextMatch[] = []
  for (const { identifier: one } of all) {
    if (one.case === 'directRemoteIp') {
      const network = `${one.value.addressPrefix}/${one.value.prefixLen ?? 0}`
      if (networkOf(network) === undefined) refuse(where, `${network} is no network`)
      networks.push(network)
    } else if (one.case === 'authenticated') {
      const name = one.value.principalName
      any.push(name === undefined ? { type: 'prefix', value: 'spiffe://' } : textOf(name, where))
    } else refuse(where, `${one.case ?? 'nothing'} is not carried out here`)
  }
  if (any.length > 0 === networks.length > 0) refuse(where, 'alternatives must be of one kind')
  return [any.length > 0 ? { on: 'identity', any } : { on: 'address', networks }]
}

/** Empty: anything. shuts: what fits shuts out. */
function whatOf({ rule }: Permission, shuts: boolean, where: string): readonly AccessCondition[] {
  if (rule.case === 'any') return []
  if (rule.case === 'andRules') return rule.value.rules.flatMap((each, at) => whatOf(each, shuts, `${where}.and_rules[${at}]`))
  if (rule.case === 'notRule') {
    const [only, ...more] = whatOf(rule.value, !shuts, `${where}.not_rule`)
    if (only === undefined || more.length > 0 || only.not === true) refuse(`${where}.not_rule`, 'only of one or several of the same kind')
    return [{ ...only, not: true }]
  }
  const all = rule.case === 'orRules' ? rule.value.rules : [{ rule }]
  const found = all.map(({ rule: one }): AccessCondition => {
    if (one.case === 'urlPath') {
      if (one.value.rule.case !== 'path') refuse(where, 'url_path needs a path')
      return { on: 'path', any: [textOf(one.value.rule.value, where)] }
    }
    if (one.case === 'header') return headerOf(one.value, shuts, where)
    return refuse(where, `${one.case ?? 'nothing'} is not carried out here`)
  })
  return [found.reduce((one, other) => merged(one, other, where))]
}

function merged(one: AccessCondition, other: AccessCondition, where: string): AccessCondition {
  const fits =
    one.on === other.on &&
    (one.on !== 'claim' || (other.on === 'claim' && JSON.stringify(one.path) === JSON.stringify(other.path))) &&
    (one.on !== 'header' ||
      (other.on === 'header' &&
        one.isWhole === other.isWhole &&
        spellingsOf(one.name).includes(other.name) &&
        one.any.length > 0 === other.any.length > 0))
  if (!fits || one.on === 'address' || other.on === 'address') return refuse(where, 'alternatives must be of one kind')
  // The same of another spelling of the name, which whoever reads the rule adds by itself.
  if (one.on === 'header' && other.on === 'header' && one.name !== other.name) return one
  return { ...one, any: [...one.any, ...other.any] }
}

function headerOf(message: HeaderMatcher, shuts: boolean, where: string): AccessCondition {
  checkHeader(message, where)
  const name = message.name.toLowerCase()
  const { headerMatchSpecifier: match } = message
  if (match.case === 'presentMatch' && match.value && !name.startsWith(':')) return { on: 'header', name, any: [] }
  const value: TextMatch =
    match.case === 'stringMatch'
      ? textOf(match.value, where, shuts && name === ':method')
      : match.case === 'exactMatch'
        ? { type: 'exact', value: match.value }
        : refuse(where, 'string_match, exact_match or present_match is needed')
  if (name === ':method') return { on: 'method', any: [value] }
  const kind = name === ':authority' || name === 'host' ? 'host' : 'header'
  const inner = unwrap(kind, value)
  if (inner === undefined && kind === 'header') return { on: 'header', name, any: [value], isWhole: true }
  if (inner === undefined)
    return refuse(where, `only patterns of the shape ${wrapped[kind].join('…')} are carried out: each value is compared by itself`)
  return kind === 'host' ? { on: 'host', any: [inner] } : { on: 'header', name, any: [inner] }
}

function unwrap(kind: keyof typeof wrapped, { type, value }: TextMatch): TextMatch | undefined {
  const [before, after] = wrapped[kind]
  if (type !== 'regex' || !value.startsWith(before) || !value.endsWith(after)) return undefined
  const body = value.slice(before.length, -after.length)
  const some = anyText[kind]
  const [shape, escaped] = body.startsWith(some)
    ? (['suffix', body.slice(some.length)] as const)
    : body.endsWith(some)
      ? (['prefix', body.slice(0, -some.length)] as const)
      : (['exact', body] as const)
  const plain = escaped.replaceAll(/\\(.)/g, '$1')
  return escapeRegex(plain) === escaped ? { type: shape, value: plain } : { type: 'regex', value: body }
}

/** isAnyCase: whoever reads the rule compares so anyway. */
function textOf(message: StringMatcher, where: string, isAnyCase = false): TextMatch {
  if (message.ignoreCase && !isAnyCase) refuse(`${where}.ignore_case`, 'not carried out by this proxy')
  const { matchPattern: match } = message
  if (match.case === 'exact' || match.case === 'prefix' || match.case === 'suffix') return { type: match.case, value: match.value }
  if (match.case !== 'safeRegex') return refuse(where, 'exact, prefix, suffix or safe_regex is needed')
  const pattern = match.value.regex
  try {
    // `(?i)` in front is read by whoever unwraps it.
    new RegExp(`^(?:${pattern.replace(/^\(\?i\)/, '')})$`, 'u')
    return { type: 'regex', value: pattern }
  } catch (thrown) {
    return refuse(where, `the pattern cannot be used: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
}
