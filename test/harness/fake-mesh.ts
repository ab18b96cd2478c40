/**
 * A stand-in for the control plane, to work on the dashboard without a mesh: it serves dashboard/dist and answers the operator API over real HTTP
 * from an invented shop whose traffic goes through the real observe room. Run it: `node test/harness/fake-mesh.ts [port]`.
 */

import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import type { AddressInfo } from 'node:net'
import type { ProxyStatus } from '#api/mesh-api'
import { Traffic } from '#observe/traffic'
import { pushShop, shop, viewOf } from './fake-mesh/shop.ts'
import { Objects } from './fake-mesh/objects.ts'

const dist = new URL('../../dashboard/dist/', import.meta.url).pathname
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

export type FakeMesh = { readonly url: string; readonly objects: Objects; close(): Promise<void> }

/** port 0: any free one. isEmpty: a control plane to which nothing has connected yet. */
export async function startFakeMesh({ port = 0, isEmpty = false } = {}): Promise<FakeMesh> {
  const startedAt = Date.now() - 3 * 3_600_000
  const traffic = new Traffic({ since: startedAt })
  const objects = new Objects(isEmpty)
  if (!isEmpty) for (let at = Date.now() - 600_000; at < Date.now(); at += 5_000) pushShop(traffic, objects, at)
  const timer = setInterval(() => isEmpty || pushShop(traffic, objects, Date.now()), 1_000)
  const proxies = (): readonly ProxyStatus[] => (isEmpty ? [] : shop.map((_, index) => proxyStatus(index, objects)))

  const answers: Readonly<Record<string, (query: URLSearchParams) => unknown>> = {
    '/weft/v1/status': () => ({
      version: '0.1.0',
      startedAt: new Date(startedAt).toISOString(),
      trustDomain: 'weft.local',
      xds: { host: '127.0.0.1', port: 7071 },
      store: { path: '/home/ada/.weft/store.db', revision: objects.revision },
      certificates: [
        { use: 'root', subject: 'CN=Weft root, O=weft.local', notAfter: inDays(3_600) },
        { use: 'intermediate', subject: 'CN=Weft intermediate 1, O=weft.local', notAfter: inDays(300) },
        { use: 'control', subject: 'spiffe://weft.local/control', notAfter: inDays(0.7) },
      ],
      proxies: proxies(),
    }),
    '/weft/v1/proxies': proxies,
    '/weft/v1/topology': query => traffic.topology(Number(query.get('seconds') ?? 60), Date.now(), isEmpty ? [] : objects.services()),
    '/weft/v1/series': query =>
      traffic.series(
        query.get('service') ?? '',
        Number(query.get('seconds') ?? 600),
        query.get('side') === 'outbound' ? 'outbound' : 'inbound',
        Date.now(),
      ),
    '/weft/v1/convergence': query => convergence(Number(query.get('revision')), objects, proxies().length),
  }

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://here')
    const config = /^\/weft\/v1\/proxies\/([^/]+)\/config$/.exec(pathname)
    const answer = answers[pathname]
    if (answer) return send(response, 200, answer(searchParams))
    if (config) return send(response, 200, { id: config[1], revision: objects.revision, view: viewOf(decodeURIComponent(config[1]!)) })
    if (pathname.startsWith('/api')) {
      const { status, body } = objects.answer(request.method ?? 'GET', pathname, searchParams, await bodyOf(request))
      return send(response, status, body)
    }
    const file = normalize(join(dist, pathname === '/' ? 'index.html' : pathname))
    if (!file.startsWith(dist)) return send(response, 404, {})
    const bytes = await readFile(file).catch(() => undefined)
    if (!bytes) return send(response, 404, { kind: 'Status', message: `no ${pathname}` })
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' }).end(bytes)
  }

  const server: Server = createServer((request, response) => void serve(request, response))
  await new Promise<void>(ready => server.listen(port, '127.0.0.1', ready))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    objects,
    close: () => {
      clearInterval(timer)
      server.closeAllConnections()
      return new Promise(done => server.close(() => done()))
    },
  }
}

const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString()

/** One proxy refused something, one is behind and one is away, so that every state can be looked at. */
function proxyStatus(index: number, objects: Objects): ProxyStatus {
  const one = shop[index]!
  const state = one.workload === 'mail-5d1c9' ? 'disconnected' : one.workload === 'search-b81d2' ? 'rejected' : 'synced'
  return {
    id: `${one.workload}.${one.namespace}`,
    workload: one.workload,
    namespace: one.namespace,
    service: one.service,
    version: '0.1.0',
    state,
    ...(state === 'disconnected' ? {} : { connectedAt: new Date(Date.now() - 7_200_000).toISOString() }),
    lastSeen: new Date(Date.now() - (state === 'disconnected' ? 260_000 : 900)).toISOString(),
    wanted: objects.revision,
    active: state === 'synced' ? objects.activeOn(index) : objects.revision - 2,
    rejected:
      state === 'rejected'
        ? [
            {
              type: 'RouteConfiguration',
              resource: 'shop/search:8080',
              reason: 'regular expression "(?<a" is not RE2: missing )',
              at: new Date(Date.now() - 95_000).toISOString(),
            },
          ]
        : [],
    health: state === 'disconnected' ? 'unhealthy' : 'healthy',
    identity: one.identity,
    certificate: {
      notAfter: inDays(state === 'disconnected' ? 0.09 : 0.4 + index / 30),
      serial: `5f3a${(index * 7919).toString(16).padStart(6, '0')}`,
    },
    admin: `http://127.0.0.1:${15_000 + index}`,
  }
}

function convergence(revision: number, objects: Objects, total: number): unknown {
  const pending = shop.filter((_, index) => objects.activeOn(index) < revision).map(one => `${one.workload}.${one.namespace}`)
  return { revision, total, active: total - pending.length, pending, rejected: [] }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request) text += chunk
  return text === '' ? undefined : JSON.parse(text)
}

const send = (response: ServerResponse, status: number, body: unknown): void =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

if (import.meta.main) {
  const mesh = await startFakeMesh({ port: Number(process.argv[2] ?? 7070), isEmpty: process.argv[3] === 'empty' })
  process.stdout.write(`${mesh.url}\n`)
}
