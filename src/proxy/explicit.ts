/** Where a workload cannot be captured: the proxy that its HTTP_PROXY names, and a loopback address for each service. */

import type { Log } from '#base/log'
import { isIp, listen, type Listening, type Socket } from '#io/net'
import type { Backend, Endpoint } from '#model/backend'
import type { Listener } from '#model/listener'
import { isOfWorkload, loopbackOf } from '#model/loopback'
import type { Route } from '#model/route'
import type { View } from '#model/view'
import { isGivenOut, listenerAt } from '#model/virtual'
import { wayOutAt } from '#model/way-out'
import { field, type RequestHead, serverCodec } from '#wire/http1'
import { claimBlock } from './block.ts'
import type { Core } from './core.ts'

export type Explicit = AsyncDisposable & {
  /** What the workload is to have in its environment: HTTP_PROXY and, as in Kubernetes, NAME_SERVICE_HOST and NAME_SERVICE_PORT. */
  readonly env: Readonly<Record<string, string>>
}

/** The loopback addresses of services are the mesh already. Twice, for programs that know no ranges. */
const direct = 'localhost,127.0.0.1,127.0.0.0/8,::1'

/** The view must be there already: services are given their addresses once, at the start of the workload. */
export async function openExplicit(core: Core, log: Log): Promise<Explicit> {
  await using owned = new AsyncDisposableStack()
  const { block, proxy } = await claimOrShare(socket => begin(core, socket))
  owned.use(proxy)
  const address = `http://${proxy.host}:${proxy.port}`
  const env: Record<string, string> = {
    HTTP_PROXY: address,
    http_proxy: address,
    NO_PROXY: direct,
    no_proxy: direct,
  }
  for (const listener of ownFirst(core)) {
    const host = loopbackOf(listener.host, block)
    const name = listener.service
      .split('.')[0]!
      .toUpperCase()
      .replaceAll(/[^A-Z0-9]/g, '_')
    try {
      owned.use(
        listener.protocol === 'udp'
          ? await core.openDatagrams(listener.name, host, listener.port)
          : await listen(host, listener.port, socket => core.outbound(socket, { host: listener.host, port: listener.port })),
      )
      env[`${name}_SERVICE_HOST`] ??= host
      env[`${name}_SERVICE_PORT`] ??= String(listener.port)
    } catch (thrown) {
      log.warn(`${listener.service} has no loopback address: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    }
  }
  const kept = owned.move()
  return { env, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** All blocks may be taken, or this machine's loopback be one address only. */
async function claimOrShare(onSocket: (socket: Socket) => void): Promise<{ block: number; proxy: Listening }> {
  return (await claimBlock(onSocket)) ?? { block: 77, proxy: await listen('127.0.0.1', 0, onSocket) }
}

/** A plain name means the service of the workload's own namespace, where there are several. */
function ownFirst(core: Core): readonly Listener[] {
  const outbound = Object.values(core.view.listeners).filter(({ direction, host }) => direction === 'outbound' && !isOfWorkload(host))
  const isOwn = (listener: Listener): boolean => listener.service.endsWith(`.${core.entry(listener).source.namespace}`)
  return [...outbound.filter(isOwn), ...outbound.filter(listener => !isOwn(listener))]
}

/** The first bytes tell a CONNECT, which becomes a plain connection to its target, from requests that name their target in full (RFC 9112 §3.2.2). */
function begin(core: Core, socket: Socket): void {
  socket.on('error', () => {})
  socket.once('data', (first: Uint8Array) => {
    socket.pause()
    const text = Buffer.from(first).toString('latin1')
    if (!text.startsWith('CONNECT ')) return core.http(socket, head => entryFor(core, head), first)
    const codec = serverCodec()
    const asked = codec.receive(first).find(event => event.type === 'request')
    const [, host, port] = /^(.+):(\d+)$/.exec(asked?.head.target ?? '') ?? []
    if (host === undefined) return void socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
    core.outbound(socket, { host: virtualOf(core.view, host) ?? host, port: Number(port) })
  })
  socket.resume()
}

/** Of several, as a headless Service has, any: who asks for a name here leaves the choice. */
function virtualOf(view: View, name: string): string | undefined {
  if (isGivenOut(name)) return name
  const addresses = view.dns.find(entry => entry.name === name.toLowerCase())?.addresses ?? []
  return addresses[Math.floor(Math.random() * addresses.length)]
}

/** The listener of the service that a request names; for any other host a way out that is made for it. */
function entryFor(core: Core, head: RequestHead) {
  const authority = head.target.includes('://')
    ? head.target.slice(head.target.indexOf('://') + 3).split('/')[0]!
    : (field(head.fields, 'host') ?? '')
  const [, host = authority, port = '80'] = /^(.*?)(?::(\d+))?$/.exec(authority) ?? []
  const view = core.view
  const virtual = virtualOf(view, host)
  const listener = virtual === undefined ? undefined : listenerAt(view, virtual, Number(port))
  if (listener !== undefined) return core.entry(listener)
  const way = wayOutAt(view, Number(port))
  if (way !== undefined) return { ...core.entry(way), destination: { host: bareHost(host), port: Number(port), name: bareHost(host) } }
  const wayOut = outside(host.replaceAll(/[[\]]/g, ''), Number(port), view)
  return core.entry(wayOut.listener, wayOut.view)
}

const bareHost = (host: string): string => host.replaceAll(/[[\]]/g, '').replace(/\.$/, '').toLowerCase()

/** A view in which one host outside the mesh is everything. A name that only the mesh could know leads nowhere. */
function outside(host: string, port: number, view: View): { listener: Listener; view: View } {
  const name = `external/${host}:${port}`
  const isReachable = isIp(host) || host.includes('.')
  const listener: Listener = { name, direction: 'outbound', host, port, protocol: 'http', routes: name, service: 'external' }
  const route: Route = {
    name,
    origin: 'outside the mesh',
    match: {},
    filters: [],
    action: isReachable
      ? { type: 'forward', backends: [{ backend: name, weight: 1 }] }
      : { type: 'respond', status: 404, reason: 'no-listener', detail: `${host}:${port}` },
  }
  const backend: Backend = {
    name,
    service: 'external',
    type: 'endpoints',
    isExternal: true,
    port,
    protocol: 'http1',
    balance: 'round-robin',
    connectTimeoutMs: 5000,
    identities: [],
  }
  const endpoint: Endpoint = { host, port, weight: 1, health: 'healthy', mtls: false, workload: host }
  return {
    listener,
    view: {
      ...view,
      routes: { [name]: { name, hosts: [{ name, domains: ['*'], routes: [route] }] } },
      backends: { [name]: backend },
      endpoints: { [name]: { backend: name, endpoints: [endpoint] } },
    },
  }
}
