/** The file of `weft node`: workloads, each with what the flags of `weft run` say. */

import { BadInput, tellProblem } from '#base/note'
import { parseSettings } from '#resources/settings-file'
import { badUsage, Stopped } from '../exit.ts'
import type { Raw } from '../options.ts'

/** As the flags would be given, and the command. */
export type FileWorkload = {
  readonly raw: Raw
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** Name in the file → flag as commander names it. */
const texts = {
  name: 'name',
  namespace: 'namespace',
  service: 'service',
  appVersion: 'appVersion',
  ready: 'ready',
  readyHttp: 'readyHttp',
  readyGrpc: 'readyGrpc',
  readyCommand: 'readyCommand',
  readyInterval: 'readyInterval',
  readyTimeout: 'readyTimeout',
  readyFailures: 'readyFailures',
  capture: 'capture',
  token: 'token',
  attestSocket: 'attestSocket',
  certificate: 'certificate',
  spiffeSocket: 'spiffeSocket',
  xds: 'xds',
  roots: 'roots',
  trustDomain: 'trustDomain',
  spiffeIdTemplate: 'spiffeIdTemplate',
  address: 'address',
  detectTimeout: 'detectTimeout',
  adminPort: 'adminPort',
  drain: 'drain',
} as const
const lists = {
  ports: 'port',
  publish: 'publish',
  dnsServers: 'dnsServer',
  excludeOutboundPorts: 'excludeOutboundPorts',
  excludeOutboundCidrs: 'excludeOutboundCidrs',
  excludeOutboundUids: 'excludeOutboundUids',
} as const
const others = ['labels', 'env', 'cwd', 'command', 'externalVips'] as const

type Entry = Readonly<Record<string, unknown>>

/** Throws Stopped with every problem, each with the file and the workload. */
export function readWorkloads(text: string, file: string): readonly FileWorkload[] {
  const list = (valueOf(text, file) as { workloads?: unknown } | null)?.workloads
  if (!Array.isArray(list) || list.length === 0) throw badUsage([`${file}: it must have "workloads", a list with one entry for each`])
  const problems: string[] = []
  const read = list.map((entry: unknown, at) => readEntry(entry, says => problems.push(`${file}: workload ${at + 1}: ${says}`)))
  if (problems.length > 0) throw badUsage(problems)
  return read
}

function valueOf(text: string, file: string): unknown {
  try {
    return parseSettings(text, file).value
  } catch (thrown) {
    throw thrown instanceof BadInput ? badUsage(thrown.problems.map(tellProblem)) : thrown
  }
}

function readEntry(entry: unknown, wrong: (says: string) => void): FileWorkload {
  if (!isRecord(entry)) {
    wrong('must be an object with name and command')
    return { raw: {}, command: [], env: {} }
  }
  const known = new Set<string>([...Object.keys(texts), ...Object.keys(lists), ...others])
  for (const key of Object.keys(entry)) if (!known.has(key)) wrong(`"${key}" is not known; known: ${[...known].join(', ')}`)
  const raw: Record<string, unknown> = {}
  for (const [key, flag] of Object.entries(texts)) if (entry[key] !== undefined) raw[flag] = scalar(entry[key], key, wrong)
  for (const [key, flag] of Object.entries(lists)) if (entry[key] !== undefined) raw[flag] = textsOf(entry[key], key, wrong)
  if (entry['labels'] !== undefined)
    raw['label'] = Object.entries(pairs(entry['labels'], 'labels', wrong)).map(([key, value]) => `${key}=${value}`)
  if (entry['externalVips'] === true) raw['externalVips'] = true
  const cwd = entry['cwd'] === undefined ? undefined : scalar(entry['cwd'], 'cwd', wrong)
  return {
    raw,
    command: entry['command'] === undefined ? [] : textsOf(entry['command'], 'command', wrong),
    env: entry['env'] === undefined ? {} : pairs(entry['env'], 'env', wrong),
    ...(cwd === undefined ? {} : { cwd }),
  }
}

const isRecord = (value: unknown): value is Entry => typeof value === 'object' && value !== null && !Array.isArray(value)

function scalar(value: unknown, key: string, wrong: (says: string) => void): string {
  if (typeof value !== 'string' && typeof value !== 'number') wrong(`"${key}" must be text or a number`)
  return String(value)
}

function textsOf(value: unknown, key: string, wrong: (says: string) => void): readonly string[] {
  if (Array.isArray(value)) return value.map(each => scalar(each, key, wrong))
  wrong(`"${key}" must be a list`)
  return []
}

function pairs(value: unknown, key: string, wrong: (says: string) => void): Readonly<Record<string, string>> {
  if (isRecord(value)) return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, scalar(each, `${key}.${name}`, wrong)]))
  wrong(`"${key}" must be an object`)
  return {}
}

/** What is wrong with a workload as flags would be, said of the file. */
export function saidOf<T>(file: string, nth: number, read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    if (!(thrown instanceof Stopped)) throw thrown
    throw new Stopped(thrown.message.replaceAll(/^/gm, `${file}: workload ${nth + 1}: `), thrown.code)
  }
}
