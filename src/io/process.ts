/** Child processes of ours: started with their output in a file, ended for certain. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import readline from 'node:readline'

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

export type Process = AsyncDisposable & {
  readonly pid: number
  readonly exited: Promise<Exit>
  /** TERM, and KILL when it is still there after graceMs. */
  stop(graceMs?: number): Promise<void>
}

/** With the output of this process, and signals passed on; it ends when it wants to. */
export type Beside = { readonly exited: Promise<Exit>; signal(name: NodeJS.Signals): void }

/** In a process group of its own. Rejects where it cannot be started. */
export async function startBeside(
  [file = '', ...args]: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Beside> {
  const child = spawn(file, args, { env: { ...env }, detached: true, stdio: ['ignore', 'inherit', 'inherit'] })
  const exited = new Promise<Exit>(resolve => child.once('exit', (code, signal) => resolve({ code, signal })))
  await once(child, 'spawn')
  return { exited, signal: name => void child.kill(name) }
}

/** Without output, in a process group of its own that is killed as a whole after timeoutMs. 127 where it cannot be started. Never rejects. */
export function runShort(
  [file = '', ...args]: readonly string[],
  { env, cwd }: { readonly env: Readonly<Record<string, string | undefined>>; readonly cwd: string },
  timeoutMs: number,
): Promise<Exit> {
  return new Promise(resolve => {
    const child = spawn(file, args, { env: { ...env }, cwd, detached: true, stdio: 'ignore' })
    const timer = setTimeout(() => {
      try {
        process.kill(-child.pid!, 'SIGKILL')
      } catch {
        // it has just ended
      }
    }, timeoutMs)
    const over = (code: number | null, signal: NodeJS.Signals | null) => {
      clearTimeout(timer)
      resolve({ code, signal })
    }
    child.once('error', () => over(127, null))
    child.once('exit', over)
  })
}

export type ProcessOptions = {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** Where stdout and stderr go, appended. */
  readonly logFile: string
  /** Told each line of stdout instead of writing it to the file. */
  readonly onLine?: (line: string) => void
}

/** In a process group of its own, so that a Ctrl-C at the terminal reaches the parent alone, which ends its children in order. */
export async function startProcess({ command, env, cwd, logFile, onLine }: ProcessOptions): Promise<Process> {
  const [file = '', ...args] = command
  const log = openSync(logFile, 'a')
  const child = spawn(file, args, {
    env: { ...env },
    detached: true,
    stdio: ['ignore', onLine === undefined ? log : 'pipe', log],
    ...(cwd === undefined ? {} : { cwd }),
  })
  closeSync(log)
  const exited = new Promise<Exit>(resolve => child.once('exit', (code, signal) => resolve({ code, signal })))
  await once(child, 'spawn')
  if (onLine !== undefined) readline.createInterface({ input: child.stdout! }).on('line', onLine)
  const stop = async (graceMs = 8000) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
    await exited
    clearTimeout(timer)
  }
  return { pid: child.pid!, exited, stop, [Symbol.asyncDispose]: () => stop() }
}
