/** How a line of the access log is put together: as JSON or by a template, from functions that give each field; nothing that a caller says can end a line or forge a field. */

import type { LogField } from '#base/log-fields'
import type { LogFormat } from '#model/telemetry'
import type { Attributes } from '#wire/otlp'

/** What a field is of something; undefined: it has none. Text is as it came, numbers are milliseconds, bytes or counts. */
export type LogValue = string | number | undefined
export type Fields<Of> = Readonly<Record<LogField, (of: Of) => LogValue>>

/** A value is cut after so many characters. */
const mostCharacters = 4096

/** The same writer for the same format, made once. */
export function writerOf<Of>(fields: Fields<Of>): (format: LogFormat) => (of: Of) => string {
  const made = new WeakMap<LogFormat, (of: Of) => string>()
  return format => {
    let writer = made.get(format)
    if (writer === undefined)
      made.set(format, (writer = format.type === 'json' ? jsonWriter(format.fields, fields) : textWriter(format.parts, fields)))
    return writer
  }
}

/** The same as attributes, numbers whole. */
export function attributesOf<Of>(fields: Fields<Of>): (wanted: readonly LogField[]) => (of: Of) => Attributes {
  return wanted => of =>
    wanted.flatMap(field => {
      const value = fields[field](of)
      return value === undefined || value === ''
        ? []
        : [[field, typeof value === 'number' ? Math.round(value) : cut(value).toWellFormed()] as const]
    })
}

const cut = (text: string): string => (text.length > mostCharacters ? `${text.slice(0, mostCharacters)}…` : text)

/** What there is not is left out. */
function jsonWriter<Of>(wanted: readonly LogField[], fields: Fields<Of>): (of: Of) => string {
  const parts = wanted.map(field => ({ key: `"${field}":`, get: fields[field] }))
  return of => {
    let line = '{'
    for (const { key, get } of parts) {
      const value = get(of)
      if (value === undefined || value === '') continue
      if (line.length > 1) line += ','
      line += key + (typeof value === 'number' ? String(value) : `"${escaped(value)}"`)
    }
    return `${line}}`
  }
}

/** What there is not is `-`. */
function textWriter<Of>(wanted: Extract<LogFormat, { type: 'text' }>['parts'], fields: Fields<Of>): (of: Of) => string {
  const parts = wanted.map(part => (typeof part === 'string' ? part : fields[part.field]))
  return of => {
    let line = ''
    for (const part of parts) {
      if (typeof part === 'string') line += part
      else {
        const value = part(of)
        line += value === undefined || value === '' ? '-' : typeof value === 'number' ? String(value) : escaped(value)
      }
    }
    return line
  }
}

/** In JSON's own way, which is good for text too: quotes, backslashes, control characters, halves of surrogates. Most values have nothing of it: that is asked first (bench/policies.ts). */
function escaped(text: string): string {
  const short = cut(text)
  if (!isOdd.test(short)) return short
  const plain = JSON.stringify(short).slice(1, -1)
  // JSON lets these stand, but terminals obey some of them, and some readers take others for the end of a line.
  return plain.replace(beyondJson, found => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
// eslint-disable-next-line no-control-regex
const isOdd = /["\\\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]/
const beyondJson = /[\u007f-\u009f\u2028\u2029]/g
