/** `weft gateway`: the proxy of a Gateway, which takes callers from outside on the ports of its listeners and hands them to workloads by mutual TLS. */

import { systemClock } from '#base/clock'
import type { GatewayOptions } from '#cli/options'
import { makeFolder, userState } from '#io/files'
import { connectGrpc } from '#io/grpc'
import { allRoots } from '#model/trust'
import { gatewayService } from '#model/workload'
import { openAdmin, pageOf } from '#proxy/admin'
import { Core } from '#proxy/core'
import { Doors } from '#proxy/doors'
import { fallBackTo, keepView } from '#proxy/kept-view'
import { Link } from '#proxy/link'
import { becomeMember, invited, notLetIn } from './join.ts'
import type { RunWorld } from './world.ts'

export async function gateway(options: GatewayOptions, world: RunWorld): Promise<number> {
  try {
    return await carryOut(options, world)
  } catch (thrown) {
    world.say(`weft: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    return 1
  }
}

async function carryOut(options: GatewayOptions, world: RunWorld): Promise<number> {
  const { log } = world
  const { name, namespace, workload } = options
  await using owned = new AsyncDisposableStack()
  const end = new AbortController()
  owned.defer(world.onSignal(signal => void (signal === 'SIGTERM' || signal === 'SIGINT' ? end.abort() : undefined)))
  const service = gatewayService(name)
  const folder = await makeFolder(`${userState(world.env)}/gateways/${namespace}.${name}`, 0o700)
  const invitation = await invited({ ...options, service }, world, folder)

  const core = owned.use(
    new Core({
      self: () => ({ service, namespace, workload, version: '', identity: invitation.identity }),
      patienceMs: 30_000,
      log,
      control: () => invitation,
      dialLocal: () => Promise.reject(new Error('a Gateway has no program of its own')),
    }),
  )
  let renewed = () => {}
  const { certificate, tls } = await becomeMember(invitation, { folder, world, signal: end.signal, onChange: () => renewed() })
  owned.defer(() => certificate.stop())
  const channel = connectGrpc(tls)
  owned.defer(() => channel.close())
  const present = () => {
    const { key, cert, roots } = certificate.current()
    const trust = core.view.trust.roots.length > 0 ? core.view.trust : { domain: '', roots }
    core.present({ key, cert, roots: allRoots(trust), ...(trust.federated === undefined ? {} : { resumes: false }) })
  }
  renewed = () => {
    channel.renew()
    present()
  }
  core.meter.follow(() => certificate.current(), systemClock)
  const admin = owned.use(await openAdmin(path => pageOf({ core, certificate: () => certificate.current() }, path), options.adminPort))
  const doors = new Doors({ core, clock: systemClock, log, say: world.say })
  owned.defer(() => doors.close())

  const denied = Promise.withResolvers<never>()
  denied.promise.catch(() => {})
  const keep = keepView(folder, log)
  let hasView = false
  let doesServe: boolean | undefined
  const link = new Link({
    node: {
      id: `${workload}.${namespace}`,
      workload,
      namespace,
      service,
      labels: { app: service, 'gateway.networking.k8s.io/gateway-name': name },
      ports: [],
      // Asked of the ports themselves, below: the path is for those who read it.
      probe: { type: 'http', port: Number(new URL(admin.url).port), path: '/ready' },
      gateway: { name, address: options.address },
      admin: admin.url,
      version: world.version,
    },
    channel,
    meter: core.meter,
    clock: systemClock,
    log,
    probe: async () => {
      if (!hasView || !doors.isOpen) throw new Error('a port of the Gateway is not open')
    },
    onRefused: () => certificate.refused(),
    onDenied: reason => denied.reject(notLetIn('Gateway', reason)),
    onView: view => {
      const serves = Object.values(view.listeners).some(each => each.direction === 'gateway')
      if (!serves && doesServe !== false)
        world.say(
          `weft: nothing to listen on: Gateway ${namespace}/${name} is not there, is of no class that Weft carries out, or no listener of it holds and leads anywhere; weft describe gateway ${name} -n ${namespace} says which. Waiting for it`,
        )
      doesServe = serves
      const hasNewRoots = allRoots(view.trust).join() !== allRoots(core.view.trust).join()
      hasView = true
      core.swap(view)
      if (hasNewRoots) present()
      certificate.trusted(view.trust.roots)
      void doors.follow(view)
      keep(view)
    },
  })
  owned.defer(() => link.close())
  present()
  owned.defer(
    fallBackTo(folder, log, {
      hasView: () => hasView,
      use: kept => {
        core.swap(kept)
        present()
        void doors.follow(kept)
      },
    }),
  )

  const isTold = new Promise(resolve => end.signal.addEventListener('abort', resolve, { once: true }))
  if (!end.signal.aborted) await Promise.race([isTold, denied.promise])
  link.leave()
  doors.close()
  await core.drain(options.drainMs)
  await link.farewell()
  return 0
}
