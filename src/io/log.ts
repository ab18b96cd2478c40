/** Writes the log: lines for people on a terminal, JSON for machines. */

import { styleText } from 'node:util'
import type { Log, LogFields } from '#base/log'

const levels = { debug: 20, info: 30, warn: 40, error: 50 } as const
export type LogLevel = keyof typeof levels

export type LogOptions = {
  /** The least grave level that is written; default info. */
  readonly level?: LogLevel
  /** Default: pretty on a terminal, json elsewhere. */
  readonly format?: 'pretty' | 'json'
  /** Default: standard error, so that standard output stays for results. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean }
}

type Write = (level: LogLevel, says: string, fields: LogFields) => void

/** pino is loaded only for JSON: a command on a terminal starts without it. Throws RangeError on a level that a person made up. */
export async function consoleLog(options: LogOptions = {}): Promise<Log> {
  const { level = 'info', stream = process.stderr } = options
  if (!Object.hasOwn(levels, level)) throw new RangeError(`"${level}" is no log level; use ${Object.keys(levels).join(', ')}`)
  const format = options.format ?? (stream.isTTY ? 'pretty' : 'json')
  const write = format === 'json' ? await jsonLines(stream) : prettyLines(stream)
  return logTo((at, says, fields) => {
    if (levels[at] >= levels[level]) write(at, says, fields)
  })
}

function logTo(write: Write, always: LogFields = {}): Log {
  const at = (level: LogLevel) => (says: string, fields?: LogFields) => write(level, says, { ...always, ...fields })
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: fields => logTo(write, { ...always, ...fields }),
  }
}

async function jsonLines(stream: NodeJS.WritableStream): Promise<Write> {
  const { pino } = await import('pino')
  const serializers = { error: pino.stdSerializers.err }
  const formatters = { level: (label: string) => ({ level: label }) }
  const logger = pino(
    { level: 'debug', base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message', serializers, formatters },
    stream,
  )
  return (level, says, fields) => logger[level](fields, says)
}

const colours = { debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const

/** `12:03:04.123 WARN  the connection broke from=127.0.0.1:4711`; errors with their stack below. */
function prettyLines(stream: NodeJS.WritableStream): Write {
  const isTerminal = 'isTTY' in stream && stream.isTTY === true
  const paint = (colour: (typeof colours)[LogLevel], text: string): string => (isTerminal ? styleText(colour, text, { stream }) : text)
  return (level, says, fields) => {
    const pairs = Object.entries(fields).filter(([, value]) => value !== undefined)
    const plain = pairs
      .filter(([, value]) => !(value instanceof Error))
      .map(([key, value]) => ` ${paint('gray', `${key}=`)}${shown(value)}`)
    const errors = pairs.map(([, value]) => value).filter(value => value instanceof Error)
    const time = paint('gray', new Date().toISOString().slice(11, 23))
    const below = errors.map(error => `\n    ${(error.stack ?? error.message).replaceAll('\n', '\n    ')}`)
    stream.write(`${time} ${paint(colours[level], level.toUpperCase().padEnd(5))} ${oneLine(says)}${plain.join('')}${below.join('')}\n`)
  }
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  return typeof value === 'string' && /[\s"=]/.test(text) ? JSON.stringify(text) : text
}

/** What a peer sent must not forge a line of its own, nor move the cursor. */
const oneLine = (text: string): string => text.replace(/[\u0000-\u001f\u007f]/g, found => JSON.stringify(found).slice(1, -1))
