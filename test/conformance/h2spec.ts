/** Runs h2spec (github.com/summerwind/h2spec), strictly, against the HTTP/2 codec on a socket, or against whatever listens: `node test/conformance/h2spec.ts [HOST PORT]`. Prints `h2spec: PASSED/ALL`. */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { serveHttp2 } from './http2-server.ts'

const cached = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'weft', 'peers', 'h2spec-latest', 'h2spec')

/** Where the program is; undefined: nowhere. */
export const h2specPath = (): string | undefined =>
  [cached, ...(process.env['PATH'] ?? '').split(delimiter).map(folder => join(folder, 'h2spec'))].find(path => existsSync(path))

export const howToGetH2spec = `h2spec is not on this machine; with Go: GOBIN=${cached.replace(/\/h2spec$/, '')} go install github.com/summerwind/h2spec/cmd/h2spec@latest`

/** passed of all cases, and what h2spec says about those that failed. */
export async function runH2spec(
  path: string,
  host: string,
  port: number,
  ...only: readonly string[]
): Promise<{ passed: number; all: number; report: string }> {
  const child = spawn(path, ['--strict', '-h', host, '-p', String(port), '-o', '2', ...only], { stdio: ['ignore', 'pipe', 'inherit'] })
  let report = ''
  for await (const piece of child.stdout) report += String(piece)
  const counts = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(report)
  if (counts === null) throw new Error(`h2spec printed no result:\n${report}`)
  const failures = report.indexOf('Failures:')
  return { passed: Number(counts[2]), all: Number(counts[1]), report: failures < 0 ? '' : report.slice(failures) }
}

if (import.meta.main) {
  const path = h2specPath()
  if (path === undefined) {
    console.error(howToGetH2spec)
    process.exit(2)
  }
  const [host, port, ...only] = process.argv.slice(2)
  await using own = port === undefined ? await serveHttp2() : undefined
  const { passed, all, report } = await runH2spec(path, host ?? '127.0.0.1', port === undefined ? own!.port : Number(port), ...only)
  if (report !== '') console.log(report)
  console.log(`h2spec: ${passed}/${all}`)
  process.exitCode = passed === all ? 0 : 1
}
