/** What a rule of a route does to requests besides sending them somewhere, and what FaultPolicies and RateLimitPolicies add to the route: a sentence for each. */

import type { Resource } from '../api/shapes.ts'
import type { Rule } from './split.ts'

type Fields = { readonly [name: string]: unknown }
type Part = { readonly percent?: number; readonly fraction?: { readonly numerator: number; readonly denominator?: number } }
type Named = { readonly name: string; readonly value: string }
type Changes = { readonly set?: readonly Named[]; readonly add?: readonly Named[]; readonly remove?: readonly string[] }

const partOf = ({ percent, fraction }: Part): string =>
  fraction === undefined ? `${percent ?? 100} %` : `${Math.round((fraction.numerator / (fraction.denominator ?? 100)) * 10_000) / 100} %`

/** In the order in which the rule says it. */
export function tellEffects(rule: Rule): readonly string[] {
  const { timeouts, retry, sessionPersistence } = rule as {
    readonly timeouts?: { readonly request?: string; readonly backendRequest?: string }
    readonly retry?: { readonly attempts?: number; readonly codes?: readonly (number | string)[] }
    readonly sessionPersistence?: { readonly type?: string }
  }
  return [
    ...(rule.filters ?? []).map(tellFilter),
    ...(timeouts?.request === undefined ? [] : [`the whole request may take ${timeouts.request}`]),
    ...(timeouts?.backendRequest === undefined ? [] : [`one try may take ${timeouts.backendRequest}`]),
    ...(retry === undefined
      ? []
      : [`tried again up to ${retry.attempts ?? 1} times${(retry.codes ?? []).length > 0 ? ` after ${retry.codes!.join(', ')}` : ''}`]),
    ...(sessionPersistence === undefined
      ? []
      : [`a session stays at its endpoint, by ${(sessionPersistence.type ?? 'Cookie').toLowerCase()}`]),
  ]
}

function tellFilter(filter: Fields & { readonly type: string }): string {
  const settings = (name: string): Fields => (filter[name] ?? {}) as Fields
  if (filter.type === 'RequestMirror') {
    const { backendRef, ...part } = settings('requestMirror') as Part & {
      readonly backendRef?: { readonly name: string; readonly port?: number }
    }
    return `${partOf(part)} is copied to ${backendRef?.name ?? 'nobody'}${backendRef?.port === undefined ? '' : `:${backendRef.port}`}`
  }
  if (filter.type === 'CORS') {
    const {
      allowOrigins = [],
      allowMethods = [],
      allowCredentials,
    } = settings('cors') as {
      readonly allowOrigins?: readonly string[]
      readonly allowMethods?: readonly string[]
      readonly allowCredentials?: boolean
    }
    return `pages of ${allowOrigins.join(', ') || 'no origin'} may read the answers${allowMethods.length > 0 ? ` to ${allowMethods.join(', ')}` : ''}${allowCredentials === true ? ', with credentials' : ''}`
  }
  if (filter.type === 'RequestHeaderModifier') return `of the request ${tellChanges(settings('requestHeaderModifier') as Changes)}`
  if (filter.type === 'ResponseHeaderModifier') return `of the answer ${tellChanges(settings('responseHeaderModifier') as Changes)}`
  if (filter.type === 'RequestRedirect') {
    const {
      scheme,
      hostname,
      port,
      statusCode = 302,
    } = settings('requestRedirect') as {
      readonly scheme?: string
      readonly hostname?: string
      readonly port?: number
      readonly statusCode?: number
    }
    const to = [scheme === undefined ? '' : `${scheme}://`, hostname ?? '', port === undefined ? '' : `:${port}`].join('')
    return `answered ${statusCode}, elsewhere${to === '' ? '' : `: ${to}`}`
  }
  if (filter.type === 'URLRewrite') {
    const { hostname, path } = settings('urlRewrite') as {
      readonly hostname?: string
      readonly path?: { readonly replaceFullPath?: string; readonly replacePrefixMatch?: string }
    }
    const parts = [
      ...(hostname === undefined ? [] : [`the host to ${hostname}`]),
      ...(path?.replaceFullPath === undefined ? [] : [`the path to ${path.replaceFullPath}`]),
      ...(path?.replacePrefixMatch === undefined ? [] : [`the start of the path to ${path.replacePrefixMatch}`]),
    ]
    return `rewrites ${parts.join(' and ')}`
  }
  const { name } = settings('extensionRef') as { readonly name?: string }
  return name === undefined ? filter.type : `by ${name}`
}

function tellChanges({ set = [], add = [], remove = [] }: Changes): string {
  return [
    ...set.map(each => `sets ${each.name}: ${each.value}`),
    ...add.map(each => `adds ${each.name}: ${each.value}`),
    ...remove.map(name => `takes out ${name}`),
  ].join(', ')
}

/** Whether a policy names the route; whole, or one rule of it. */
export const isAbout = (policy: Resource, route: Resource): boolean => {
  const { targetRefs = [] } = (policy.spec ?? {}) as { readonly targetRefs?: readonly { readonly kind?: string; readonly name?: string }[] }
  const [own, its] = [policy, route].map(each => each.metadata.namespace ?? 'default')
  return own === its && targetRefs.some(ref => ref.kind === route.kind && ref.name === route.metadata.name)
}

/** What a FaultPolicy or a RateLimitPolicy does. */
export function tellPolicy({ spec = {} }: Resource): readonly string[] {
  const { delay, abort, bandwidth, expires, local, global } = spec as {
    readonly delay?: Part & { readonly fixed: string }
    readonly abort?: Part & { readonly httpStatus?: number; readonly grpcStatus?: number }
    readonly bandwidth?: Part & { readonly requests?: number; readonly responses?: number }
    readonly expires?: string
    readonly local?: Limit
    readonly global?: Limit
  }
  return [
    ...(delay === undefined ? [] : [`${partOf(delay)} is delayed by ${delay.fixed} on purpose`]),
    ...(abort === undefined
      ? []
      : [
          `${partOf(abort)} is ${abort.httpStatus === undefined && abort.grpcStatus === undefined ? 'broken off' : `answered ${abort.httpStatus ?? `gRPC ${abort.grpcStatus}`}`} on purpose`,
        ]),
    ...(bandwidth === undefined ? [] : [`${partOf(bandwidth)} passes slowly on purpose`]),
    ...(expires === undefined ? [] : [`until ${expires}`]),
    ...(local === undefined ? [] : [`each workload takes ${tellLimit(local)}`]),
    ...(global === undefined ? [] : [`all together take ${tellLimit(global)}`]),
  ]
}

type Limit = { readonly requests?: number; readonly interval?: string }
const tellLimit = ({ requests, interval = '1s' }: Limit): string =>
  requests === undefined ? 'as many as the service decides' : `${requests} in ${interval}`
