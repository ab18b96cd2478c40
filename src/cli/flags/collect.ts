/** Reads the values of flags one after the other and keeps what is wrong with them, to say it all at once. */

import { badUsage } from '../exit.ts'
import { readDuration } from '../moment.ts'

/** A value, or the sentence that says what is wrong with it. */
export type Read<T> = { readonly value: T } | { readonly says: string }

const kebab = (key: string): string => `--${key.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`

/** raw: by the camel-case name of the flag, as commander gives them. */
export class Flags {
  readonly #raw: Readonly<Record<string, unknown>>
  readonly #wrong: string[] = []
  constructor(raw: Readonly<Record<string, unknown>>) {
    this.#raw = raw
  }

  wrong(says: string): void {
    this.#wrong.push(says)
  }

  missing<T>(flag: string, what: string, instead: T): T {
    if (!this.#wrong.some(says => says.startsWith(flag))) this.wrong(`${flag} is missing: give ${what}`)
    return instead
  }

  one<T>(key: string, read: (text: string) => Read<T>): T | undefined {
    const text = this.#raw[key]
    return typeof text === 'string' ? this.#take(key, text, read) : undefined
  }

  each<T>(key: string, read: (text: string) => Read<T>): T[] {
    const list = this.#raw[key]
    if (!Array.isArray(list)) return []
    return list.flatMap(text => {
      const value = this.#take(key, String(text), read)
      return value === undefined ? [] : [value]
    })
  }

  text(key: string): string | undefined {
    return this.one(key, text => (text.trim() === '' ? { says: 'may not be empty' } : { value: text }))
  }

  /** RFC 1123 label, as names of objects and namespaces are. */
  label(key: string): string | undefined {
    return this.one(key, text =>
      /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(text)
        ? { value: text }
        : { says: 'must be lower-case letters, digits and "-", starting and ending with a letter or digit, 63 at most' },
    )
  }

  labelValue(key: string): string | undefined {
    return this.one(key, text =>
      /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(text)
        ? { value: text }
        : { says: 'must be letters, digits, "-", "_" and ".", starting and ending with a letter or digit, 63 at most' },
    )
  }

  whole(key: string, least: number, most: number): number | undefined {
    return this.one(key, text => {
      const value = Number(text)
      return /^\d+$/.test(text) && value >= least && value <= most ? { value } : { says: `must be a whole number from ${least} to ${most}` }
    })
  }

  /** Milliseconds. */
  duration(key: string): number | undefined {
    return this.one(key, text => {
      const value = readDuration(text)
      return value === undefined ? { says: 'must be a duration such as 30s, 1m30s or 500ms, or a number of seconds' } : { value }
    })
  }

  choice<const T extends string>(key: string, choices: readonly T[]): T | undefined {
    return this.one(key, text => {
      const found = choices.find(each => each === text)
      return found === undefined ? { says: `must be ${choices.join(' or ')}` } : { value: found }
    })
  }

  stopIfWrong(): void {
    if (this.#wrong.length > 0) throw badUsage(this.#wrong)
  }

  #take<T>(key: string, text: string, read: (text: string) => Read<T>): T | undefined {
    const result = read(text)
    if ('value' in result) return result.value
    this.wrong(`${kebab(key)} "${text}": ${result.says}`)
    return undefined
  }
}
