/** `weft cert doctor` and `weft cert rotate-root`. */

import type { ControlStatus, RootPlan } from '#api/mesh-api'
import { judgeCertificates } from '../certificates/judge.ts'
import { badUsage, exit } from '../exit.ts'
import { tellLeft } from '../moment.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'

type Common = { readonly output?: 'table' | 'json' | 'yaml'; readonly control?: string }

/** Fails when something is to be done. */
export async function doctor(session: Session, { output = 'table', control }: Common): Promise<number> {
  const { client, address } = await session.reach(control)
  const { say } = session
  const now = session.now()
  let current: ControlStatus
  try {
    current = await client.status()
  } catch (thrown) {
    if ((thrown as Error).name !== 'Unreachable') throw thrown
    return (await import('../status/down.ts')).tellDown(session, address, thrown as Error, output)
  }
  const findings = judgeCertificates(current, now)
  const ill = findings.filter(({ remedy }) => remedy !== undefined)
  if (output !== 'table') {
    await printAs(say, output, { authority: current.authority, findings })
    return ill.length > 0 ? exit.failed : exit.ok
  }
  printTable(
    say,
    [
      { name: 'use' },
      { name: 'of' },
      { name: 'until' },
      { name: 'left' },
      { name: 'verdict', style: cell => (cell === 'ok' ? 'green' : /^(ordered|renewal fails)/.test(cell) ? 'yellow' : 'red') },
    ],
    findings.map(({ use, of, notAfter, verdict }) => [
      use,
      of,
      notAfter ?? '',
      notAfter === undefined ? '' : tellLeft(notAfter, now),
      verdict,
    ]),
  )
  const revoked = current.trust?.revocations ?? []
  if (revoked.length > 0)
    say.out(
      `\n${revoked.length} ${revoked.length === 1 ? 'revocation holds' : 'revocations hold'}: ${revoked.map(({ name }) => name).join(', ')} (weft cert revocations)`,
    )
  if (ill.length > 0) say.out('')
  for (const { of, use, verdict, remedy } of ill) say.out(`${say.paint('red', '!')} ${use} ${of} ${verdict}: ${remedy}`)
  return ill.length > 0 ? exit.failed : exit.ok
}

/** The roots of the mesh, for another one that is to believe it. */
export async function bundle(session: Session, { control }: Common): Promise<number> {
  const { client } = await session.reach(control)
  session.say.out(JSON.stringify(await client.bundle(), undefined, 2))
  return exit.ok
}

type RotateFlags = Common & {
  readonly plan?: boolean
  readonly step?: boolean
  readonly auto?: boolean
  readonly stop?: boolean
  readonly force?: boolean
}

/** Fails, with what it waits for, when the next step was asked for and is not taken. */
export async function rotateRoot(
  session: Session,
  { output = 'table', control, plan, step, auto, stop, force }: RotateFlags,
): Promise<number> {
  if ([plan, step, auto, stop].filter(given => given === true).length > 1)
    throw badUsage(['--plan, --step, --auto and --stop exclude each other: give one'])
  if (force === true && step !== true) throw badUsage(['--force goes with --step'])
  const { client } = await session.reach(control)
  const action = step ? 'step' : auto ? 'start' : stop ? 'stop' : undefined
  const told = action === undefined ? await client.rootPlan() : await client.replaceRoot({ action, ...(force === true ? { force } : {}) })
  if (output !== 'table') await printAs(session.say, output, told)
  else show(session, told)
  return exit.ok
}

const stages: Record<RootPlan['stage'], string> = {
  steady: 'one root; nothing is being replaced',
  introduced: 'both roots are trusted, the old one signs',
  signing: 'both roots are trusted, the new one signs',
}

function show({ say, now }: Session, { stage, root, other, steps, next, waitsFor, automatic }: RootPlan): void {
  const line = (name: string, text: string): void => say.out(`${say.paint('bold', name.padEnd(10))}${text}`)
  const named = ({ sha256, notAfter }: RootPlan['root']): string =>
    `${sha256.slice(0, 16)}…, until ${notAfter} (${tellLeft(notAfter, now())})`
  line('stage', `${stage}: ${stages[stage]}`)
  line('signs', named(root))
  if (other !== undefined) line(stage === 'introduced' ? 'to come' : 'to go', named(other))
  if (stage !== 'steady') line('goes on', automatic ? 'by itself' : 'when told: weft cert rotate-root --step')
  say.out('')
  for (const each of steps) {
    const mark = each.done ? say.paint('green', '✓') : each.step === next ? say.paint('yellow', '▸') : '·'
    say.out(`  ${mark} ${each.step.padEnd(10)} ${each.does}`)
  }
  if (waitsFor.length > 0) say.out(`\n${next} waits:`)
  for (const reason of waitsFor) say.out(`  ${say.paint('yellow', '…')} ${reason}`)
}
