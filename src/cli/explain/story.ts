/** An explanation as a story for people: each step of the way on its line, what fits marked, and what does not with its reason. */

import type { Detection, ProxyStatus } from '#api/mesh-api'
import type { EndpointTold, Explanation, FailureTold, RuleTold, ShareTold, TlsTold } from '#model/explain'
import type { Match } from '#model/route'
import { tellAgo } from '../moment.ts'
import { tellMatch } from '../proxy/rows.ts'
import type { Say } from '../say.ts'
import { oneLine } from '../table.ts'
import { filterTold, settingsOf } from './settings.ts'

/** protocolBy: what says what the port speaks. slices: EndpointSlices whose endpoints are left out where there is none. seen: what was found out lately on a port of which nothing says it. */
export type Told = {
  readonly from: ProxyStatus
  readonly to: string
  readonly revision: number
  readonly request: { readonly method: string; readonly host: string; readonly path: string; readonly search: string }
  readonly isSecure?: boolean
  readonly protocolBy?: string
  readonly seen?: readonly Detection[]
  readonly slices?: readonly { readonly name: string; readonly namespace: string; readonly reason: string; readonly message: string }[]
  readonly explanation: Explanation
}

type Paint = Pick<Say, 'paint'>
const marks = { good: ['green', '✓'], bad: ['red', '✗'], none: ['dim', '·'], half: ['yellow', '!'] } as const

/** now: ms since the epoch. */
export function storyOf(say: Paint, told: Told, now: number): readonly string[] {
  const { from, to, revision, request, explanation } = told
  const { address, listener, tls, rules, route, egress, shares, opaque } = explanation
  const step = (name: string, text: string): string => `${say.paint('bold', name.padEnd(10))}${text}`
  const asHttp = listener?.asHttp ?? true
  const isEdge = listener?.direction === 'gateway'
  const what = asHttp
    ? `${request.method} http${told.isSecure === true ? 's' : ''}://${to}${request.path}${request.search && `?${request.search}`}`
    : to
  const lines = [
    `${say.paint('bold', isEdge ? 'a caller from outside' : from.service)} ${asHttp ? 'asks' : 'connects to'} ${say.paint('cyan', oneLine(what))}`,
    step(isEdge ? 'gateway' : 'caller', `${from.id}, revision ${revision}${staleness(say, from)}`),
    ...(address === undefined ? [] : [step('name', `${to.split(':')[0]} is ${address}`)]),
    ...(listener === undefined ? [] : [step('listener', `${listener.name}, ${protocolTold(say, told)}`)]),
    ...(tls === undefined ? [] : [step('tls', tlsTold(tls))]),
    ...(told.seen === undefined ? [] : [step('seen', seenTold(told.seen, now))]),
    ...(rules === undefined
      ? []
      : [step('rules', `of ${listener!.routes}, in the order in which they are tried`), ...rules.map(each => ruleLine(say, each))]),
    ...(route === undefined ? [] : settingsOf(route).map((text, at) => step(at === 0 ? 'rule' : '', text))),
    ...(egress === undefined ? [] : [step('egress', `${mark(say, egress.isAllowed ? 'good' : 'bad')} ${egress.says}`)]),
    ...sharesTold(say, shares, from.identity),
    ...(opaque === undefined ? [] : [step('else', `what is not HTTP goes as opaque bytes to ${opaque.map(shareName).join(', ')}`)]),
  ]
  const slices = (told.slices ?? []).map(
    ({ name, namespace, reason, message }) =>
      `  EndpointSlice ${namespace}/${name}: ${reason}: ${oneLine(message)}; see: weft describe endpointslice ${name} -n ${namespace}`,
  )
  return [...lines, ...verdict(say, explanation), ...slices]
}

const mark = (say: Paint, which: keyof typeof marks): string => say.paint(marks[which][0], marks[which][1])
const indent = '          '

function staleness(say: Paint, { state, active, wanted }: ProxyStatus): string {
  if (state === 'rejected') return say.paint('yellow', ' (it refuses a part of it: weft status)')
  return state === 'pending' ? say.paint('yellow', ` (it has ${active} so far, not yet ${wanted})`) : ''
}

function protocolTold(say: Paint, { explanation: { listener }, protocolBy }: Told): string {
  const { protocol } = listener!
  if (protocol !== 'detect') return `${protocol}${protocolBy === undefined ? '' : `, declared by ${protocolBy}`}`
  const how = 'the first bytes are waited for, 60 ms unless weft run --detect-timeout says otherwise; HTTP is assumed here'
  return `${say.paint('yellow', 'to be found out')}: nothing declares its protocol; ${how}`
}

function seenTold(seen: readonly Detection[], now: number): string {
  const all = seen.map(({ protocol, outcome, count, lastAt }) => {
    const when = lastAt === undefined ? '' : `, last ${tellAgo(lastAt, now)}`
    return `${protocol} ${count} ${count === 1 ? 'time' : 'times'}${outcome === 'opaque' ? ' (silent, or not known)' : ''}${when}`
  })
  return all.length === 0 ? 'this caller has not called it yet' : all.join('; ')
}

function tlsTold({ name, entry, becomes, certificates }: TlsTold): string {
  if (becomes === 'passed on') return `the server name ${name} is read, and TLS is passed on as it is`
  const asks =
    certificates === undefined
      ? ''
      : certificates === 'required'
        ? '; the caller must show a certificate'
        : '; a certificate of the caller is asked for, and not needed'
  return `ends here, with the certificate of the listener for ${entry.join(', ') || 'all names'}; the caller asks for ${name}${asks}`
}

const places = { path: 'the path is', method: 'the method is', grpc: 'it is no gRPC call: content-type is', host: 'the host is' } as const

function ruleLine(say: Paint, told: RuleTold): string {
  const text = `${told.route.origin.padEnd(36)} ${describeMatch(told.route.match)}`
  if (told.outcome === 'failed') return `${indent}${mark(say, 'bad')} ${text}  ${say.paint('yellow', why(told))}`
  if (told.outcome === 'taken') return `${indent}${mark(say, 'good')} ${text}`
  return say.paint('dim', `${indent}· ${text}  is not tried any more`)
}

function why({ at, has }: Extract<RuleTold, { outcome: 'failed' }>): string {
  const value = has === undefined ? 'absent' : `"${oneLine(has)}"`
  if (at === 'path' || at === 'method' || at === 'grpc' || at === 'host') return `${places[at]} ${value}`
  const [kind, name] = at.split(' ')
  return `${kind === 'headers' ? 'header' : 'query parameter'} ${name} is ${value}`
}

const describeMatch = (match: Match): string => (match.grpc === true ? `gRPC ${tellMatch(match)}` : tellMatch(match))

const shareName = ({ backend, insteadOf, failure }: ShareTold): string =>
  backend === undefined
    ? `nothing (${failure?.code})`
    : `${backend.name}${insteadOf === undefined ? '' : ` in place of ${insteadOf}, which cannot serve`}`

function sharesTold(say: Paint, shares: readonly ShareTold[], caller: string): readonly string[] {
  return shares.flatMap((share, at) => {
    const { part, backend, sent, endpoints, failure, filters } = share
    const percent = `${Math.round(part * 1000) / 10} %`.padStart(6)
    const label = say.paint('bold', (at === 0 ? 'to' : '').padEnd(10))
    const sign = part === 0 ? mark(say, 'none') : mark(say, failure === undefined ? 'good' : 'bad')
    const tail = backend === undefined ? '' : `, ${backend.balance}, connects within ${backend.connectTimeoutMs} ms`
    return [
      `${label}${sign} ${shares.length > 1 ? `${percent}  ` : ''}${shareName(share)}${say.paint('dim', tail)}`,
      ...(sent === undefined ? [] : [`${indent}  as ${sent.host}${sent.path}`]),
      ...filters.map(filter => `${indent}  ${filterTold(filter)}`),
      ...(failure === undefined ? [] : [`${indent}    ${say.paint('red', `${failure.code}: ${failure.says}`)}`]),
      ...endpoints.map(each => endpointLine(say, each)),
      ...mtlsTold(say, endpoints, caller),
    ]
  })
}

function endpointLine(say: Paint, { workload, host, port, health, isUsed, why: reason, way, weight }: EndpointTold): string {
  const text = `${workload} at ${host.includes(':') ? `[${host}]` : host}:${port}, ${health}${weight === 1 ? '' : `, weight ${weight}`}`
  if (!isUsed) return `${indent}    ${mark(say, 'bad')} ${text}: ${say.paint('yellow', `left out, ${reason}`)}`
  if (way?.failure) return `${indent}    ${mark(say, 'bad')} ${text}: ${say.paint('red', `${way.failure.code}, ${way.failure.detail}`)}`
  return `${indent}    ${mark(say, 'good')} ${text}${say.paint('dim', wayTold(way))}`
}

function wayTold(way: EndpointTold['way']): string {
  if (way === undefined || way.proxy === 'unasked') return ''
  if (way.proxy === 'none') return ', in plaintext: it has no proxy'
  if (way.proxy === 'away') return ', its proxy is away'
  const token = way.token === undefined ? '' : ` (${way.token})`
  const asks = way.asks === undefined ? '' : ` (${way.asks})`
  const access = way.access === undefined ? '' : ` (${way.access.says}${way.access.audit === undefined ? '' : `; ${way.access.audit}`})`
  return ` ─▶ its proxy, ${way.listener} (${way.mtls?.mode ?? 'in plaintext'}), ${way.protocol}${token}${access}${asks} ─▶ ${way.to}`
}

/** The same for all endpoints of a share, so said once. */
function mtlsTold(say: Paint, endpoints: readonly EndpointTold[], caller: string): readonly string[] {
  const used = endpoints.filter(each => each.isUsed && each.mtls)
  if (used.length === 0) return []
  const proved = [...new Set(used.flatMap(({ way }) => way?.mtls?.identity ?? []))]
  return [
    `${indent}    ${say.paint('dim', `mTLS: the caller proves ${caller}, the called ${proved.join(' or ') || 'one of those that the Service selects'}`)}`,
  ]
}

function verdict(say: Paint, { arrives, answered, failure, shares }: Explanation): readonly string[] {
  if (answered !== undefined)
    return [
      `${mark(say, 'good')} the mesh answers ${answered.status} itself${answered.location === undefined ? '' : `: ${answered.location}`}`,
    ]
  if (arrives === 'always') return [`${mark(say, 'good')} ${say.paint('green', 'it arrives')}`]
  const lost = shares.reduce((sum, share) => (share.failure === undefined ? sum : sum + share.part), 0)
  const head =
    arrives === 'never'
      ? 'it does not arrive'
      : lost > 0
        ? `${Math.round(lost * 1000) / 10} % of it does not arrive`
        : 'it does not arrive at every endpoint'
  return [
    `${mark(say, arrives === 'never' ? 'bad' : 'half')} ${say.paint(arrives === 'never' ? 'red' : 'yellow', head)}`,
    ...failureTold(failure),
  ]
}

const failureTold = (failure: FailureTold | undefined): readonly string[] =>
  failure === undefined
    ? []
    : [
        failure.code === 'no-listener'
          ? '  no-listener: a captured program finds no address, or nobody there; by HTTP_PROXY the answer is 404'
          : `  ${failure.code}: HTTP ${failure.status}, gRPC ${failure.grpc}; over TCP the connection is reset`,
        `  ${failure.says}`,
        `  ${failure.hint}`,
      ]
