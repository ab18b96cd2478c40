/** `weft proxy --from FILE`: the data plane alone, by the resources of a file. */

import { resolve } from 'node:path'
import type { ProxyOptions } from '#cli/options'
import { openAdmin } from '#proxy/admin'
import type { Opened } from '#proxy/from-file'
import type { ServedDns } from './proxy/dns.ts'
import type { Served } from './proxy/served.ts'
import type { WorkersOptions } from './proxy/workers.ts'
import type { ProxyWorld } from './world.ts'

export async function proxy(options: ProxyOptions, world: ProxyWorld): Promise<number> {
  try {
    await serve(options, world)
    return 0
  } catch (thrown) {
    world.say(`weft: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    if (world.env['WEFT_DEBUG'] === '1' && thrown instanceof Error) world.say(thrown.stack ?? '')
    return 1
  }
}

async function serve({ from, certs, adminPort, drainMs, json, workers, dnsPort }: ProxyOptions, world: ProxyWorld): Promise<void> {
  await using owned = new AsyncDisposableStack()
  const path = resolve(from)
  let admin: string | undefined
  let dns: ServedDns | undefined
  let isTold = false
  const tell = (listeners: readonly Opened[]): void => {
    if (json)
      return world.print(
        `${JSON.stringify({ pid: world.pid, ...(admin === undefined ? {} : { admin }), ...(dns === undefined ? {} : { dns: dns.port }), listeners })}\n`,
      )
    for (const { name, direction, protocol, host, port } of listeners) world.print(`${name}  ${host}:${port}  ${direction} ${protocol}\n`)
    if (admin !== undefined) world.print(`admin  ${admin}\n`)
    if (dns !== undefined) world.print(`dns  127.0.0.1:${dns.port}\n`)
  }
  const running = owned.use(
    await start(workers, {
      place: { path, certs: certs === undefined ? undefined : resolve(certs), answersDns: dnsPort !== undefined },
      drainMs,
      world,
      onListening: listeners => isTold && tell(listeners),
      onChange: refused => {
        void dns?.renew()
        if (refused !== undefined) world.say(`weft: not taken, what was good before stays:\n${refused}`)
        else world.log.info('the file was read again and taken', { path })
      },
    }),
  )
  const wanted = adminPort ?? running.adminPort
  const page = (asked: string) => running.page(asked)
  if (wanted !== undefined) admin = owned.use(await openAdmin(page, wanted, () => running.restart())).url
  if (dnsPort !== undefined) dns = owned.use(await (await import('./proxy/dns.ts')).serveDns(running, dnsPort))
  // Whoever reads what is told may signal at once.
  owned.defer(world.onHangup(() => running.reread()))
  owned.defer(world.onRestart(() => void restart(running, world)))
  tell(running.listeners)
  isTold = true
  await aborted(world.signal)
  await Promise.race([running.drain(drainMs), aborted(world.insisted)])
}

/** Modules of the data plane are read where it runs only: an owner of workers is to stay small. */
async function start(count: number | undefined, options: Omit<WorkersOptions, 'count'>): Promise<Served> {
  if (count === undefined) return (await import('./proxy/alone.ts')).serveAlone(options)
  const workers = new (await import('./proxy/workers.ts')).Workers({ ...options, count })
  await workers.start()
  return workers
}

async function restart(running: Served, { say }: ProxyWorld): Promise<void> {
  try {
    say(`weft: ${await running.restart()}`)
  } catch (thrown) {
    say(`weft: not restarted, what ran before goes on: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise(done => (signal.aborted ? done() : signal.addEventListener('abort', () => done(), { once: true })))
