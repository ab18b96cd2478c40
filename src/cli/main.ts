/** The command line: `main` reads the arguments, runs one command and returns its exit code: 0 done, 1 failed, 2 wrongly called. */

import type { Edge } from './edge.ts'
import { exit, Stopped } from './exit.ts'
import { openSession, type Session } from './session.ts'
import { buildProgram } from './tree.ts'

/** argv: without the program's name. Never rejects: what went wrong is on stderr. A reader of stdout that goes away (`| head`) ends the command quietly. */
export async function main(argv: readonly string[], edge: Edge): Promise<number> {
  const gone = new AbortController()
  const left = new Promise<number>(done => {
    const onError = (error: Error & { code?: string }): void => {
      if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error
      gone.abort()
      done(exit.ok)
    }
    edge.stdout.on('error', onError)
    edge.stderr.on('error', () => {})
  })
  const session = openSession(edge, gone.signal)
  const command = perform(argv, session).catch(thrown => tell(thrown, session))
  return Promise.race([command, left])
}

async function perform(argv: readonly string[], session: Session): Promise<number> {
  let code: number = exit.ok
  const program = buildProgram(session, ended => (code = ended))
  try {
    await program.parseAsync([...argv], { from: 'user' })
    return code
  } catch (thrown) {
    // Commander has printed its message, or help, by then.
    const { code: name, exitCode } = thrown as { code?: unknown; exitCode?: unknown }
    if (typeof name === 'string' && name.startsWith('commander.')) return exitCode === 0 ? exit.ok : exit.usage
    throw thrown
  }
}

/** The only place where an error becomes words and an exit code. */
async function tell(thrown: unknown, { edge, say, used, signal }: Session): Promise<number> {
  if (signal.aborted) return exit.ok
  say.progress('')
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const isDebug = edge.env['WEFT_DEBUG'] === '1'
  const code = thrown instanceof Stopped ? thrown.code : ((error as { exitCode?: number }).exitCode ?? exit.failed)
  for (const line of await linesOf(error, used)) say.err(`${line.startsWith(' ') ? '' : 'weft: '}${line}`)
  if (isDebug && !(thrown instanceof Stopped)) say.err(error.stack ?? '')
  else if (isBug(error)) say.err('weft: this is a bug of Weft; WEFT_DEBUG=1 shows where it happened')
  return code

  async function linesOf({ name, message }: Error, address: typeof used): Promise<readonly string[]> {
    if (name === 'Unreachable' && address) {
      const { notReached } = await import('./unreachable.ts')
      return notReached(message, address)
    }
    return message === '' ? [] : message.split('\n')
  }
}

const isBug = (error: Error): boolean => ['TypeError', 'ReferenceError', 'RangeError', 'AssertionError'].includes(error.name)
