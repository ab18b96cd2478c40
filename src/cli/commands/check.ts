/** `weft check`: can this machine run the mesh, does the control plane answer, do the versions agree? */

import { ApiError, type Client } from '#api/client'
import type { ProxyStatus } from '#api/mesh-api'
import { findBypasses, type ProxyTold } from '../check/bypasses.ts'
import type { ControlAddress } from '../context.ts'
import { connectionBy } from '../credentials.ts'
import type { MachineCheck } from '../edge.ts'
import { exit } from '../exit.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { goStrict, tellMtls } from '../status/mtls.ts'
import { notReached } from '../unreachable.ts'

type Flags = { readonly output?: 'table' | 'json' | 'yaml'; readonly control?: string; readonly bypasses?: boolean }

/** A control plane that does not answer is a failure only when one was named: before the first start there is none. */
export async function check(session: Session, { output = 'table', control, bypasses }: Flags): Promise<number> {
  const { say, edge } = session
  if (bypasses === true) return checkBypasses(session, output, control)
  const [machine, plane] = await Promise.all([edge.checkMachine?.() ?? [], checkControl(session, control)])
  const all = [...machine.filter(each => !isHeldBy(each, plane.ports)), ...plane.checks]
  const isFailed = all.some(({ ok }) => ok === 'no')
  if (output !== 'table') {
    await printAs(say, output, { ok: !isFailed, checks: all })
    return isFailed ? exit.failed : exit.ok
  }
  show(session, all)
  const isLimited = all.some(({ ok }) => ok === 'warn')
  say.out('')
  say.out(
    isFailed
      ? say.paint('red', 'This machine cannot run the mesh as it is.')
      : `This machine can run the mesh${isLimited ? ', with the limits named above' : ''}.`,
  )
  return isFailed ? exit.failed : exit.ok
}

/** 1: there are some. */
async function checkBypasses(session: Session, output: 'table' | 'json' | 'yaml', control: string | undefined): Promise<number> {
  const { client } = await session.reach(control)
  const all = await bypassesOf(session, client)
  const isFree = all.every(({ ok }) => ok === 'yes')
  if (output === 'table') show(session, all)
  else await printAs(session.say, output, { ok: isFree, checks: all })
  return isFree ? exit.ok : exit.failed
}

const bypassesOf = async ({ edge }: Session, client: Client): Promise<readonly MachineCheck[]> =>
  findBypasses({ client, listening: (await edge.listeningAt?.()) ?? [], statusOf })

/** Of a proxy on this machine. Elsewhere the same address is another program, so the identity is compared. */
async function statusOf({ admin, identity }: Pick<ProxyStatus, 'admin' | 'identity'>): Promise<ProxyTold | undefined> {
  if (admin === undefined || !URL.canParse(admin) || new URL(admin).hostname !== '127.0.0.1') return undefined
  try {
    const answer = await fetch(`${admin}/status`, { signal: AbortSignal.timeout(1000) })
    const told = (await answer.json()) as ProxyTold & { readonly certificate?: { readonly identity?: string } }
    return told.certificate?.identity === identity ? told : undefined
  } catch {
    return undefined
  }
}

function show({ say }: Session, all: readonly MachineCheck[]): void {
  const signs = say.isTTY ? ({ yes: '✔', warn: '!', no: '✘' } as const) : ({ yes: 'ok', warn: 'warning', no: 'failed' } as const)
  const colours = { yes: 'green', warn: 'yellow', no: 'red' } as const
  const signWide = Math.max(...all.map(({ ok }) => signs[ok].length))
  const wide = Math.max(...all.map(({ name }) => name.length))
  for (const { name, ok, says, remedy } of all) {
    say.out(`${say.paint(colours[ok], signs[ok].padEnd(signWide))} ${name.padEnd(wide)}  ${says}`)
    if (ok !== 'yes' && remedy !== undefined) say.out(' '.repeat(signWide + wide + 3) + say.paint('dim', remedy))
  }
}

type Plane = { readonly checks: readonly MachineCheck[]; readonly ports: readonly number[] }

/** A port in use by the very control plane that answers is as it should be. */
const isHeldBy = ({ name, ok }: MachineCheck, ports: readonly number[]): boolean =>
  ok === 'warn' && ports.some(port => name === `port ${port}`)

/** A certificate is refused by those whose clock differs by more than this. */
const clockMs = 5000

async function checkControl(session: Session, control: string | undefined): Promise<Plane> {
  const { client, address } = await session.reach(control)
  const name = 'control plane'
  try {
    const sent = session.now()
    const [current, served] = await Promise.all([client.status(), serverClock(address)])
    const off = served === undefined ? undefined : served - (sent + session.now()) / 2
    const { version } = session.edge
    const { isStrict, says } = tellMtls(current.mtls)
    const checks: readonly MachineCheck[] = [
      { name, ok: 'yes', says: `answers at ${address.url} (from ${address.from})` },
      current.version === version
        ? { name: 'versions', ok: 'yes', says: `this command and the control plane are ${version}` }
        : {
            name: 'versions',
            ok: 'warn',
            says: `this command is ${version}, the control plane ${current.version}`,
            remedy: 'use the same version on both ends',
          },
      { name: 'mutual TLS', ok: isStrict ? 'yes' : 'warn', says, ...(isStrict ? {} : { remedy: goStrict }) },
      // The Date header has whole seconds.
      off === undefined || Math.abs(off) < clockMs
        ? {
            name: 'clocks',
            ok: 'yes',
            says: off === undefined ? 'the control plane did not tell its time' : 'agrees with that of the control plane',
          }
        : {
            name: 'clocks',
            ok: 'no',
            says: `differs from that of the control plane by ${Math.round(Math.abs(off) / 1000)} s`,
            remedy: 'set both by NTP: certificates are valid by the clock',
          },
      ...(await bypassesOf(session, client).catch((thrown: Error) => [
        { name: 'bypasses', ok: 'warn' as const, says: `ways around the proxies were not looked for: ${thrown.message}` },
      ])),
    ]
    return { checks, ports: [current.xds.port, portOf(address.url)] }
  } catch (thrown) {
    const error = thrown as Error
    const wasNamed = address.from !== 'the default'
    const says = error.name === 'Unreachable' ? notReached(error.message, address)[0]! : error.message
    const remedy =
      error instanceof ApiError && (error.code === 401 || error.code === 403)
        ? 'weft user whoami says who you are to it; docs/guide/operators.md how to be somebody'
        : 'weft control starts one; --control, WEFT_CONTROL or weft context choose another'
    return { checks: [{ name, ok: wasNamed ? 'no' : 'warn', says, remedy }], ports: [] }
  }
}

const portOf = (url: string): number => {
  const { port, protocol } = new URL(url)
  return Number(port || (protocol === 'https:' ? 443 : 80))
}

async function serverClock({ url, credentials }: ControlAddress): Promise<number | undefined> {
  const { fetch: ask = fetch } = await connectionBy(credentials)
  const reply = await ask(`${url}/healthz`, { signal: AbortSignal.timeout(5000) })
  await reply.body?.cancel()
  const at = Date.parse(reply.headers.get('date') ?? '')
  return Number.isNaN(at) ? undefined : at
}
