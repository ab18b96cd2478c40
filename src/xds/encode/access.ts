/**
 * Access → Envoy's RBAC: two filters, what is denied before what is allowed, with what is only audited as their shadow rules. For requests typed per route,
 * for connections in front of their proxy.
 */

import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf'
import { type Any, anyPack } from '@bufbuild/protobuf/wkt'
import { spellingsOf } from '#model/access'
import type { Access, AccessCondition, AccessRule, TextMatch } from '#model/access-rule'
import type { Listener } from '#model/listener'
import {
  type Permission,
  PermissionSchema,
  type Policy,
  PolicySchema,
  type Principal,
  PrincipalSchema,
  RBAC_Action,
  type RBAC as Rules,
  RBACSchema as RulesSchema,
} from '../gen/envoy/config/rbac/v3/rbac_pb.ts'
import { HeaderMatcherSchema } from '../gen/envoy/config/route/v3/route_components_pb.ts'
import { RBACPerRouteSchema, RBACSchema as HttpSchema } from '../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import { RBACSchema as NetworkSchema } from '../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts'
import { type StringMatcher, StringMatcherSchema } from '../gen/envoy/type/matcher/v3/string_pb.ts'
import { escapeRegex } from './path.ts'
import { typed } from './source.ts'
import { claimPrincipals } from './tokens.ts'
import { encodeWindows } from './windows.ts'

export const accessFilters = { deny: 'envoy.filters.http.rbac.deny', allow: 'envoy.filters.http.rbac.allow' } as const
export const networkFilters = { deny: 'envoy.filters.network.rbac.deny', allow: 'envoy.filters.network.rbac.allow' } as const

/** Envoy does not spell paths in one way before it compares them: where paths count, those that could be spelled otherwise are denied. */
export const unclearPaths = 'weft/unclear-path#0'
/** As `readPath` has it: what has another spelling, what others read in another way, and what means nothing certain. */
const unclear = [
  '//|/\\.|[;\\\\#\\x00-\\x20\\x7f]',
  '%(?:[01][0-9A-F]|2[DEF]|3[0-9B]|[46][1-9A-F]|[57][0-9A]|5[CF]|7[EF]|C[01]|F[5-9A-F])',
  // Escaped twice, and longer than it has to be.
  '%(?:25[0-9a-fA-F]{2}|E0%[89]|F0%8)',
  // In lower case it is another spelling of the same.
  '%(?:[0-9A-F][a-f]|[a-f][0-9a-fA-F])',
  '%(?:$|[^0-9a-fA-F]|[0-9a-fA-F](?:$|[^0-9a-fA-F]))',
]
const unclearPattern = `.*(?:${unclear.join('|')}).*`

/** What wraps a pattern, so that each of several values is compared by itself (RFC 9110 §5.3), and a host without its port. */
export const wrapped = {
  header: ['(?:.*,)?[ \\t]*(?:', ')[ \\t]*(?:,.*)?'],
  host: ['(?i)(?:', ')\\.*(?::[0-9]*)?'],
} as const
export const anyText = { header: '[^,]*', host: '[^:]*' } as const

/** Label of a listener: whom it tells why they are denied. Envoy tells nobody. */
export const toldLabel = 'tells-why'
export const toldLabels = (told: Listener['tellsWhy']): JsonObject =>
  told === undefined ? {} : { [toldLabel]: told.map(({ type, value }) => ({ type, value })) }

/** Stand in every chain of the called side, asleep until a route says something. */
export const sleepingAccess = Object.values(accessFilters).map(name => ({ name, configType: typed(HttpSchema, create(HttpSchema)) }))

export function encodeAccess(access: Access): Record<string, Any> {
  const parts = partsOf(access)
  const config = (part: Part): Any => anyPack(RBACPerRouteSchema, create(RBACPerRouteSchema, { rbac: create(HttpSchema, part) }))
  return {
    ...(parts.deny === undefined ? {} : { [accessFilters.deny]: config(parts.deny) }),
    ...(parts.allow === undefined ? {} : { [accessFilters.allow]: config(parts.allow) }),
  }
}

/** What some service is asked about: as denials, which hold for a path of two meanings in either, and for one that could be spelled otherwise. */
export function askedRules(rules: readonly AccessRule[]): Rules {
  const unclear = readsPath(rules) ? { [unclearPaths]: unclearPolicy } : {}
  return create(RulesSchema, { action: RBAC_Action.DENY, policies: { ...policiesOf(rules, true), ...unclear } })
}

const readsPath = (rules: readonly AccessRule[]): boolean => rules.some(rule => rule.to.some(all => all.some(({ on }) => on === 'path')))

/** In front of the proxy of opaque bytes. */
export const networkAccess = (access: Access | undefined, statPrefix: string) =>
  filtersOf(access, networkFilters, part => typed(NetworkSchema, create(NetworkSchema, { statPrefix, ...part })))

/** In front of the router, for a listener that has its routes in itself. */
export const httpAccess = (access: Access | undefined) =>
  filtersOf(access, accessFilters, part => typed(HttpSchema, create(HttpSchema, part)))

function filtersOf<Config>(
  access: Access | undefined,
  names: { readonly deny: string; readonly allow: string },
  configOf: (part: Part) => Config,
): { readonly name: string; readonly configType: Config }[] {
  const { deny, allow } = access === undefined ? {} : partsOf(access)
  return [
    ...(deny === undefined ? [] : [{ name: names.deny, configType: configOf(deny) }]),
    ...(allow === undefined ? [] : [{ name: names.allow, configType: configOf(allow) }]),
  ]
}

type Part = { readonly rules?: Rules; readonly shadowRules?: Rules }

function partsOf({ deny, allow, audit }: Access): { readonly deny?: Part; readonly allow?: Part } {
  const denied = { ...policiesOf(deny, true), ...(readsPath([...deny, ...(allow ?? [])]) ? { [unclearPaths]: unclearPolicy } : {}) }
  const denies: Part = {
    ...(Object.keys(denied).length === 0 ? {} : { rules: create(RulesSchema, { action: RBAC_Action.DENY, policies: denied }) }),
    ...(audit === undefined || audit.deny.length === 0 ? {} : { shadowRules: rulesOf(RBAC_Action.DENY, audit.deny) }),
  }
  const allows: Part = {
    ...(allow === undefined ? {} : { rules: rulesOf(RBAC_Action.ALLOW, allow) }),
    ...(audit?.allow === undefined ? {} : { shadowRules: rulesOf(RBAC_Action.ALLOW, audit.allow) }),
  }
  return { ...(isEmpty(denies) ? {} : { deny: denies }), ...(isEmpty(allows) ? {} : { allow: allows }) }
}

const isEmpty = (part: Part): boolean => part.rules === undefined && part.shadowRules === undefined

const rulesOf = (action: RBAC_Action, rules: readonly AccessRule[]): Rules =>
  create(RulesSchema, { action, policies: policiesOf(rules, action === RBAC_Action.DENY) })

const policiesOf = (rules: readonly AccessRule[], isDenied: boolean): Record<string, Policy> =>
  Object.fromEntries(
    rules.map(({ name, from, to, when }) => [
      name,
      create(PolicySchema, {
        principals: from.length === 0 ? [anybody] : from.map(all => principal({ case: 'andIds', value: { ids: all.map(who) } })),
        permissions:
          to.length === 0
            ? [anything]
            : to.map(all => permission({ case: 'andRules', value: { rules: all.map(each => what(each, isDenied)) } })),
        ...(when === undefined ? {} : { condition: encodeWindows(when, isDenied) }),
      }),
    ]),
  )

const principal = (identifier: NonNullable<MessageInitShape<typeof PrincipalSchema>['identifier']>): Principal =>
  create(PrincipalSchema, { identifier })
const permission = (rule: NonNullable<MessageInitShape<typeof PermissionSchema>['rule']>): Permission => create(PermissionSchema, { rule })
const anybody = principal({ case: 'any', value: true })
const anything = permission({ case: 'any', value: true })
export const unclearPolicy = create(PolicySchema, {
  principals: [anybody],
  permissions: [
    permission({ case: 'urlPath', value: { rule: { case: 'path', value: matcher({ type: 'regex', value: unclearPattern }) } } }),
  ],
})

function who(condition: AccessCondition): Principal {
  const ids: Principal[] =
    condition.on === 'address'
      ? condition.networks.map(network => {
          const [addressPrefix = '', length] = network.split('/')
          return principal({ case: 'directRemoteIp', value: { addressPrefix, prefixLen: Number(length) } })
        })
      : condition.on === 'identity'
        ? condition.any.map(match => principal({ case: 'authenticated', value: { principalName: matcher(match) } }))
        : condition.on === 'claim'
          ? claimPrincipals(condition, matcher)
          : impossible(condition)
  const some = principal({ case: 'orIds', value: { ids } })
  return condition.not === true ? principal({ case: 'notId', value: some }) : some
}

function what(condition: AccessCondition, isDenied: boolean): Permission {
  const rules = permissionsOf(condition, isDenied)
  const some = permission({ case: 'orRules', value: { rules } })
  return condition.not === true ? permission({ case: 'notRule', value: some }) : some
}

function permissionsOf(condition: AccessCondition, isDenied: boolean): Permission[] {
  const header = (name: string, value: StringMatcher): Permission =>
    permission({ case: 'header', value: create(HeaderMatcherSchema, { name, headerMatchSpecifier: { case: 'stringMatch', value } }) })
  switch (condition.on) {
    case 'method':
      // As `testOf` has it: what shuts out does so in any case of letters.
      return condition.any.map(match => header(':method', matcher(match, isDenied !== (condition.not === true))))
    case 'host':
      return condition.any.map(match => header(':authority', matcher({ type: 'regex', value: wrap('host', match) })))
    case 'path':
      return condition.any.map(match => permission({ case: 'urlPath', value: { rule: { case: 'path', value: matcher(match) } } }))
    case 'header': {
      const { any, isWhole } = condition
      const names = isDenied === (condition.not === true) ? [condition.name] : spellingsOf(condition.name)
      return names.flatMap(name => {
        if (isWhole === true) return any.map(match => header(name, matcher(match)))
        if (any.length > 0) return any.map(match => header(name, matcher({ type: 'regex', value: wrap('header', match) })))
        const value = create(HeaderMatcherSchema, { name, headerMatchSpecifier: { case: 'presentMatch', value: true } })
        return [permission({ case: 'header', value })]
      })
    }
    default:
      return impossible(condition)
  }
}

function impossible({ on }: AccessCondition): never {
  throw new Error(`a condition on ${on} stands on the wrong side of a rule`)
}

function wrap(kind: keyof typeof wrapped, { type, value }: TextMatch): string {
  const [before, after] = wrapped[kind]
  const body = type === 'regex' ? value : escapeRegex(value)
  return `${before}${type === 'suffix' ? anyText[kind] : ''}${body}${type === 'prefix' ? anyText[kind] : ''}${after}`
}

function matcher({ type, value }: TextMatch, isAnyCase = false): StringMatcher {
  return create(StringMatcherSchema, {
    ignoreCase: isAnyCase && type !== 'regex',
    matchPattern: type === 'regex' ? { case: 'safeRegex', value: { regex: value } } : { case: type, value },
  })
}
