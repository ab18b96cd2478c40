/** What whoever gave a flag that a command does not take may have meant: one that is spelt alike, that has a word in common, or one of another command. */

import type { Command } from 'commander'
import { nearest } from '#base/near'

/** Under the error of each command, where commander itself has no proposal: it knows neither of words nor of flags that help does not show. */
export function proposeFlags(command: Command): void {
  for (const each of command.commands) proposeFlags(each)
  const { outputError } = command.configureOutput()
  command.configureOutput({
    outputError: (text, write) => outputError!(`${text}${proposalFor(command, text)}`, write),
  })
}

function proposalFor(command: Command, error: string): string {
  const flag = /^error: unknown option '(--[^'=]+)/.exec(error)?.[1]
  if (flag === undefined || error.includes('Did you mean')) return ''
  const meant = meantBy(flag, flagsOf(command))
  if (meant.length > 0) return `(Did you mean ${meant.length === 1 ? '' : 'one of '}${meant.join(', ')}?)\n`
  const behind = takers(command, flag)
  return behind.length === 0 ? '' : `(${flag} goes behind the command that takes it, such as ${behind[0]})\n`
}

/** Those that are spelt alike, else those that have words in common, most in common first; three at most. */
export function meantBy(flag: string, known: readonly string[]): readonly string[] {
  const spelt = nearest(
    flag.slice(2),
    known.map(other => other.slice(2)),
  )
  if (spelt !== undefined) return [`--${spelt}`]
  const words = wordsOf(flag)
  const shared = (other: string): number => wordsOf(other).filter(word => words.some(each => isSame(each, word))).length
  return known
    .map(other => ({ other, score: shared(other) / wordsOf(other).length, count: shared(other) }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count || b.score - a.score)
    .slice(0, 3)
    .map(({ other }) => other)
}

const wordsOf = (flag: string): readonly string[] =>
  flag
    .replace(/^--(no-)?/, '')
    .toLowerCase()
    .split(/[-_]/)

/** `file` and `filename`, `port` and `ports`. Shorter ones begin too much. */
const isSame = (one: string, other: string): boolean =>
  one === other || (one.length >= 4 && other.startsWith(one)) || (other.length >= 4 && one.startsWith(other))

const flagsOf = ({ options }: Command): readonly string[] => [...new Set(options.flatMap(({ long }) => (long == null ? [] : [long])))]

/** Commands below this one that take the flag. */
function takers(command: Command, flag: string): readonly string[] {
  return command.commands.flatMap(each => [
    ...(each.options.some(({ long }) => long === flag) ? [nameOf(each)] : []),
    ...takers(each, flag),
  ])
}

const nameOf = (command: Command): string => (command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`)
