/** `weft proxy --from FILE`: the data plane alone, by the resources of a file. */

import { resolve } from 'node:path'
import type { ProxyOptions } from '#cli/options'
import { openAdmin } from '#proxy/admin'
import { FileProxy, type Opened } from '#proxy/from-file'
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

async function serve({ from, certs, adminPort, drainMs, json }: ProxyOptions, world: ProxyWorld): Promise<void> {
  await using owned = new AsyncDisposableStack()
  const path = resolve(from)
  let admin: string | undefined
  let opened: readonly Opened[] = []
  let isTold = false
  const tell = (): void => {
    const listeners = opened.map(({ name, direction, protocol, host, port }) => ({ name, direction, protocol, host, port }))
    if (json) return world.print(`${JSON.stringify({ pid: world.pid, ...(admin === undefined ? {} : { admin }), listeners })}\n`)
    for (const { name, direction, protocol, host, port } of listeners) world.print(`${name}  ${host}:${port}  ${direction} ${protocol}\n`)
    if (admin !== undefined) world.print(`admin  ${admin}\n`)
  }
  const running = owned.use(
    await FileProxy.start({
      path,
      certs: certs === undefined ? undefined : resolve(certs),
      log: world.log,
      onListening: now => {
        opened = now
        if (isTold) tell()
      },
      onChange: outcome => {
        if ('refused' in outcome) world.say(`weft: not taken, what was good before stays:\n${outcome.refused}`)
        else world.log.info('the file was read again and taken', { path })
      },
    }),
  )
  const wanted = adminPort ?? running.adminPort
  if (wanted !== undefined) admin = owned.use(await openAdmin(running.core, wanted, () => running.certificate)).url
  // Whoever reads what is told may signal at once.
  owned.defer(world.onHangup(() => void running.reread()))
  tell()
  isTold = true
  await aborted(world.signal)
  await Promise.race([running.core.drain(drainMs), aborted(world.insisted)])
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise(done => (signal.aborted ? done() : signal.addEventListener('abort', () => done(), { once: true })))
