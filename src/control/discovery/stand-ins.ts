/**
 * What an Envoy gets in the place of a listener or route table that it refused for a reason that nobody foresaw. It goes on with what it had, which is well unless what it
 * refused lets less in: then it gets one that lets nothing in, until another is compiled. A listener whose log cannot be opened is first sent without.
 *
 *   as compiled ──refused──▶ without its log ──refused──▶ closed ──refused──▶ nothing more
 *                    └──── no log, lets less in ────────────▲
 */

import type { Listener } from '#model/listener'
import type { Route, RouteTable } from '#model/route'
import type { View } from '#model/view'
import type { Rejection } from '#xds/server'
import { typeUrls } from '#xds/types'

type Part = Listener | RouteTable
/** compiled: what was refused. sent: in its place. active: the newest revision that the proxy had until then. */
type Held = { readonly compiled: Part; readonly sent: Part; readonly rejection: Rejection; readonly stage: 'unlogged' | 'closed' }

const placeOf = { [typeUrls.listener]: 'listeners', [typeUrls.route]: 'routes' } as const
type Place = (typeof placeOf)[keyof typeof placeOf]
const placeIn = (typeUrl: string): Place | undefined => (placeOf as Readonly<Record<string, Place>>)[typeUrl]

export class StandIns {
  /** By `PLACE NAME`: what the proxy has. */
  readonly #taken = new Map<string, Part>()
  readonly #held = new Map<string, Held>()
  #settled: View | undefined

  /** What it refused and does not have; told as long as something else stands there. */
  get rejected(): readonly Rejection[] {
    return [...this.#held.values()].map(each => each.rejection)
  }

  /** The view as it is to be sent. What was compiled anew is tried as it is. */
  over(view: View): View {
    for (const [key, { compiled }] of this.#held) if (partAt(view, key) !== compiled) this.#held.delete(key)
    if (this.#held.size === 0) return view
    const parts = { listeners: { ...view.listeners }, routes: { ...view.routes } }
    for (const [key, { sent }] of this.#held) {
      const [place, name] = split(key)
      parts[place][name] = sent as never
    }
    return { ...view, ...parts }
  }

  /** It has answered for all of this view. rejected: of the stream. */
  settled(sent: View, rejected: readonly Rejection[]): void {
    if (this.#settled === sent) return
    this.#settled = sent
    const refused = new Set(rejected.map(({ typeUrl, resource }) => `${placeIn(typeUrl)} ${resource}`))
    for (const place of ['listeners', 'routes'] as const) {
      if (refused.has(`${place} *`)) continue
      for (const [name, part] of Object.entries(sent[place])) {
        const key = `${place} ${name}`
        if (!refused.has(key)) this.#taken.set(key, part)
      }
    }
    for (const key of this.#taken.keys()) if (partAt(sent, key) === undefined) this.#taken.delete(key)
  }

  /** compiled: as the view is without any of these. Whether something else is to be sent now. */
  refused(rejections: readonly Rejection[], compiled: View): boolean {
    let isMore = false
    for (const rejection of rejections) {
      const place = placeIn(rejection.typeUrl)
      if (place === undefined) continue
      const names = rejection.resource === '*' ? Object.keys(compiled[place]) : [rejection.resource]
      for (const name of names) isMore = this.#hold(`${place} ${name}`, compiled, rejection) || isMore
    }
    return isMore
  }

  #hold(key: string, compiled: View, rejection: Rejection): boolean {
    const part = partAt(compiled, key)
    if (part === undefined) return false
    const before = this.#held.get(key)
    if (before?.stage === 'closed') return false
    if (before === undefined && isListener(part) && part.telemetry?.accessLog?.path !== undefined) {
      const { telemetry: _, ...sent } = part
      const reason = `${rejection.reason}; it has it without an access log`
      this.#held.set(key, { compiled: part, sent, rejection: { ...rejection, reason }, stage: 'unlogged' })
      return true
    }
    if (!letsLessIn(part, this.#taken.get(key))) return false
    const reason = `${before?.rejection.reason.replace(/; it has it without an access log$/, '') ?? rejection.reason}; it lets nothing in there, for a policy is in it that the proxy does not have`
    this.#held.set(key, { compiled: part, sent: closed(part), rejection: { ...(before?.rejection ?? rejection), reason }, stage: 'closed' })
    // Connections that are open stay with the listener that they came by: its tables end what they ask.
    if (isListener(part))
      for (const table of tablesOf(part)) {
        const of = compiled.routes[table]
        const at = `routes ${table}`
        if (of !== undefined && this.#held.get(at)?.stage !== 'closed')
          this.#held.set(at, {
            compiled: of,
            sent: closed(of),
            rejection: { ...rejection, typeUrl: typeUrls.route, resource: table, reason },
            stage: 'closed',
          })
      }
    return true
  }
}

const split = (key: string): [Place, string] => {
  const at = key.indexOf(' ')
  return [key.slice(0, at) as Place, key.slice(at + 1)]
}
const partAt = (view: View, key: string): Part | undefined => {
  const [place, name] = split(key)
  return view[place][name]
}
const isListener = (part: Part): part is Listener => 'direction' in part
const tablesOf = ({ routes, terminates = [] }: Listener): readonly string[] =>
  [routes, ...terminates.map(each => each.routes)].filter(each => each !== undefined)

/** before: what the proxy has; absent: nobody knows. Whether anything is kept out by it that is not by the other. */
function letsLessIn(part: Part, before: Part | undefined): boolean {
  const old = new Set(before === undefined ? [] : guardsOf(before))
  return guardsOf(part).some(guard => !old.has(guard))
}

const guardsOf = (part: Part): readonly string[] =>
  isListener(part)
    ? guardsOfListener(part)
    : part.hosts.flatMap(({ domains, routes }) => routes.flatMap(route => guardsOfRoute(route, domains)))

function guardsOfListener({
  access,
  tokens,
  logins,
  authorizers,
  connectionAuthorizer,
  connectionLimit,
  egress,
  tls,
  terminates,
  ...rest
}: Listener) {
  const { proxyProtocol } = rest
  const callers = terminates?.flatMap(each => (each.callers === undefined ? [] : [[each.names, each.callers]]))
  const strict = tls?.mode === 'strict' ? true : undefined
  const all = { access, tokens, logins, authorizers, connectionAuthorizer, connectionLimit, egress, strict, proxyProtocol }
  return [...told(all), ...(callers === undefined ? [] : callers.map(each => JSON.stringify(each)))]
}

function guardsOfRoute({ match, access, tokens, login, authorize, rateLimit, quota, sizes, egress }: Route, domains: readonly string[]) {
  return told({ access, tokens, login, authorize, rateLimit, quota, sizes, egress }).map(
    each => `${JSON.stringify([domains, match])} ${each}`,
  )
}

const told = (guards: Readonly<Record<string, unknown>>): readonly string[] =>
  Object.entries(guards).flatMap(([name, guard]) => (guard === undefined ? [] : [`${name} ${JSON.stringify(guard)}`]))

const detail = 'this proxy refused its newest configuration, in which there is a policy that it does not have: weft status says why'

function closed(part: Part): Part {
  if (!isListener(part)) {
    const all: Route = { name: 'closed', origin: 'closed', match: {}, filters: [], action: { type: 'respond', status: 503, detail } }
    return { name: part.name, hosts: [{ name: '*', domains: ['*'], routes: [all] }] }
  }
  const { name, direction, host, port, service, isBound, protocol } = part
  return {
    name,
    direction,
    host,
    port,
    service,
    ...(isBound === undefined ? {} : { isBound }),
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
    // Nobody may come, and there is no backend.
    access: { deny: [], allow: [] },
    backends: [],
  }
}
