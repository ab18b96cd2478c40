/** A program that is asked one thing: text in, text out, within a time. */

import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

export type Answered = { readonly code: number | null; readonly stdout: string; readonly stderr: string }

/** env: beside what this process has. Rejects when it cannot be started, or takes longer than timeoutMs (it is killed then). */
export async function askCommand(
  command: readonly string[],
  options: { readonly input: string; readonly env: Readonly<Record<string, string>>; readonly timeoutMs: number },
): Promise<Answered> {
  const [file = '', ...args] = command
  const child = spawn(file, args, { env: { ...process.env, ...options.env }, stdio: ['pipe', 'pipe', 'pipe'] })
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once('error', thrown => reject(new Error(`${file} cannot be started: ${thrown.message}`)))
    child.once('close', resolve)
  })
  child.stdin.on('error', () => {}) // it need not read
  child.stdin.end(options.input)
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    child.kill('SIGKILL')
  }, options.timeoutMs)
  try {
    const [code, stdout, stderr] = await Promise.all([exit, text(child.stdout), text(child.stderr)])
    if (isLate) throw new Error(`${file} took longer than ${options.timeoutMs / 1000} s`)
    return { code, stdout, stderr }
  } finally {
    clearTimeout(timer)
  }
}
