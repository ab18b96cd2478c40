/** The flags of `weft run` that say how its proxy finds out whether the workload serves. */

import type { ProbeTimes, ReadinessProbe } from '#model/workload'
import type { Flags, Read } from './collect.ts'
import type { RunPort } from './workload.ts'

/** command: run by the shell, where probe.type is `command`. */
export type Readiness = { readonly probe: ReadinessProbe; readonly readyCommand?: readonly string[] }

const ways = { ready: '--ready', readyHttp: '--ready-http', readyGrpc: '--ready-grpc', readyCommand: '--ready-command' } as const
const usual: ProbeTimes = { intervalMs: 1000, timeoutMs: 1000, failures: 1 }

export function readReadiness(raw: Readonly<Record<string, unknown>>, flags: Flags, ports: readonly RunPort[]): Readiness {
  const given = Object.entries(ways).flatMap(([key, flag]) => (raw[key] === undefined ? [] : [flag]))
  if (given.length > 1) flags.wrong(`${given.join(' and ')} exclude each other: give one`)
  const command = flags.text('readyCommand')
  const times = readTimes(flags)
  const often = Object.keys(times).length === 0 ? {} : { often: { ...usual, ...times } }
  if ((often.often?.timeoutMs ?? 0) > (often.often?.intervalMs ?? 0) && times.timeoutMs !== undefined && times.intervalMs !== undefined)
    flags.wrong('--ready-timeout is longer than --ready-interval: an answer must come before the next question')
  const asked = flags.one('readyHttp', readHttp) ?? flags.one('readyGrpc', readGrpc)
  if (asked !== undefined) return { probe: { ...asked, ...often } }
  if (command !== undefined) return { probe: { type: 'command', ...often }, readyCommand: ['/bin/sh', '-c', command] }
  const type = flags.choice('ready', ['tcp', 'none']) ?? (ports.some(({ protocol }) => protocol !== 'udp') ? 'tcp' : 'none')
  return { probe: { type, ...often } }
}

function readTimes(flags: Flags): Partial<ProbeTimes> {
  const [intervalMs, timeoutMs, failures] = [
    flags.duration('readyInterval'),
    flags.duration('readyTimeout'),
    flags.whole('readyFailures', 1, 100),
  ]
  for (const [flag, ms] of [
    ['--ready-interval', intervalMs],
    ['--ready-timeout', timeoutMs],
  ] as const)
    if (ms !== undefined && (ms < 50 || ms > 86_400_000)) flags.wrong(`${flag} must be from 50ms to 24h`)
  return {
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(failures === undefined ? {} : { failures }),
  }
}

const isPort = (port: number): boolean => port >= 1 && port <= 65_535

/** `PORT/PATH`: 8080/healthz. */
function readHttp(text: string): Read<ReadinessProbe> {
  const [, digits, path] = /^(\d{1,5})(\/[!-~]*)$/.exec(text) ?? []
  return path === undefined || !isPort(Number(digits))
    ? { says: 'must be PORT/PATH, such as 8080/healthz' }
    : { value: { type: 'http', port: Number(digits), path } }
}

/** `PORT[/SERVICE]`: 9000, 9000/shop.Cart. */
function readGrpc(text: string): Read<ReadinessProbe> {
  const [, digits, service = ''] = /^(\d{1,5})(?:\/([!-~]{0,1024}))?$/.exec(text) ?? []
  return digits === undefined || !isPort(Number(digits))
    ? { says: 'must be PORT or PORT/SERVICE, such as 9000/shop.Cart' }
    : { value: { type: 'grpc', port: Number(digits), service } }
}
