/** Two cores in one process with mutual TLS between them: a caller's proxy in front of a workload's, by hand-made views and no control plane. */

import { createIntermediate, createRoot, issueLeaf } from '../../src/identity/issue.ts'
import { newKey } from '../../src/identity/key.ts'
import { workloadId } from '../../src/identity/spiffe.ts'
import { dialTcp, listen, type Socket, type TlsMaterial } from '../../src/io/net.ts'
import { silent } from '../../src/base/log.ts'
import type { Backend, Endpoint } from '../../src/model/backend.ts'
import type { Protocol } from '../../src/model/listener.ts'
import { portName } from '../../src/model/port.ts'
import type { Route } from '../../src/model/route.ts'
import type { View } from '../../src/model/view.ts'
import { defaultLimits, type Limits } from '../../src/proxy/place.ts'
import { Core } from '../../src/proxy/core.ts'

export const trustDomain = 'weft.test'

export async function materials(...services: readonly string[]): Promise<Record<string, TlsMaterial>> {
  const root = await createRoot(trustDomain, await newKey(), Date.now())
  const signer = await createIntermediate(root, await newKey(), Date.now())
  const made: Record<string, TlsMaterial> = {}
  for (const serviceAccount of services) {
    const key = await newKey()
    const { chain } = await issueLeaf(signer, key.public, workloadId(trustDomain, { namespace: 'default', serviceAccount }), Date.now())
    made[serviceAccount] = { key: key.pem, cert: chain.join('\n'), roots: [root.root] }
  }
  return made
}

export const identityOf = (service: string): string => `spiffe://${trustDomain}/ns/default/sa/${service}`

/** A connection that is made, as the workload's namespace gives it. */
export const dialled = (port: number, host = '127.0.0.1'): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = dialTcp(host, port)
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })

export type Side = { readonly core: Core; readonly port: number }

/** The proxy of a workload that listens on `appPort` and is spoken to in `to`; callers come to `port`. */
export async function inboundSide(
  service: string,
  appPort: number,
  protocol: Protocol,
  material: TlsMaterial,
  limits?: Partial<Limits>,
  to: Backend['protocol'] = 'http1',
): Promise<Side> {
  const core = new Core({
    self: () => ({ service, namespace: 'default', workload: `${service}-1`, version: '', identity: identityOf(service) }),
    dialLocal: port => dialled(port),
    patienceMs: 5000,
    log: silent,
    ...(limits === undefined ? {} : { limits: { ...defaultLimits, ...limits } }),
  })
  const bound = await core.bind({ name: 'main', port: appPort, protocol }, '127.0.0.1')
  const local = `local/${portName(appPort, protocol)}`
  const name = `inbound/${portName(appPort, protocol)}`
  const view: View = {
    listeners: {
      [name]: {
        name,
        direction: 'inbound',
        host: '127.0.0.1',
        port: bound.bind!.port,
        protocol,
        tls: { mode: 'strict' },
        service: `${service}.default`,
        ...(protocol === 'udp' ? {} : { routes: name }),
        backends: [{ backend: local, weight: 1 }],
      },
    },
    routes: { [name]: table(name, [forwardTo(local)]) },
    backends: {
      [local]: {
        name: local,
        service: `${service}.default`,
        type: 'local',
        port: appPort,
        protocol: to,
        balance: 'round-robin',
        connectTimeoutMs: 2000,
        identities: [],
      },
    },
    endpoints: {},
    dns: [],
    trust: { domain: trustDomain, roots: material.roots },
  }
  core.present(material)
  core.swap(view)
  return { core, port: bound.bind!.port }
}

export const table = (name: string, routes: readonly Route[]) => ({ name, hosts: [{ name, domains: ['*'], routes }] })

export const forwardTo = (...backends: readonly string[]): Route => ({
  name: 'default',
  origin: 'default',
  match: {},
  filters: [],
  action: { type: 'forward', backends: backends.map(backend => ({ backend, weight: 1 })) },
})

/** A backend of mesh endpoints at these ports. */
export function remote(
  service: string,
  ports: readonly number[],
  options: { mtls?: boolean; identities?: readonly string[]; protocol?: Backend['protocol'] } = {},
): Pick<View, 'backends' | 'endpoints'> {
  const name = `default/${service}:80`
  const { mtls = true, identities = [identityOf(service)], protocol = 'http1' } = options
  const endpoints = ports.map(
    (port, at): Endpoint => ({ host: '127.0.0.1', port, weight: 1, health: 'healthy', mtls, workload: `${service}-${at + 1}.default` }),
  )
  return {
    backends: {
      [name]: {
        name,
        service: `${service}.default`,
        type: 'endpoints',
        port: 80,
        protocol,
        balance: 'round-robin',
        connectTimeoutMs: 2000,
        identities,
      },
    },
    endpoints: { [name]: { backend: name, endpoints } },
  }
}

export type OutboundSide = Side & { readonly swap: (change: Partial<View>) => void }

/** The proxy of a caller: what connects to `port` goes where the service at 240.0.0.1:80 leads. */
export async function outboundSide(
  service: string,
  material: TlsMaterial,
  protocol: Protocol,
  parts: Partial<View>,
  limits?: Partial<Limits>,
  detectMs?: number,
): Promise<OutboundSide & AsyncDisposable> {
  const core = new Core({
    self: () => ({ service, namespace: 'default', workload: `${service}-1`, version: '', identity: identityOf(service) }),
    dialLocal: port => dialled(port),
    patienceMs: 5000,
    log: silent,
    ...(limits === undefined ? {} : { limits: { ...defaultLimits, ...limits } }),
    ...(detectMs === undefined ? {} : { detectMs }),
  })
  const backend = Object.keys(parts.backends ?? {})[0] ?? 'none'
  const base: View = {
    listeners: {
      out: {
        name: 'out',
        direction: 'outbound',
        host: '240.0.0.1',
        port: 80,
        protocol,
        service: 'target.default',
        routes: 'out',
        backends: [{ backend, weight: 1 }],
      },
    },
    routes: { out: table('out', [forwardTo(backend)]) },
    backends: {},
    endpoints: {},
    dns: [],
    trust: { domain: trustDomain, roots: material.roots },
  }
  let view: View = { ...base, ...parts }
  core.present(material)
  core.swap(view)
  const front = await listen('127.0.0.1', 0, socket => core.outbound(socket, { host: '240.0.0.1', port: 80 }))
  return {
    core,
    port: front.port,
    swap: change => core.swap((view = { ...view, ...change })),
    async [Symbol.asyncDispose]() {
      front.stop()
      await core[Symbol.asyncDispose]()
    },
  }
}
