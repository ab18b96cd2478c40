/** What could come next on a command line: subcommands and flags from the command tree, names from the control plane. */

import type { Command, Option } from 'commander'

/** What a position takes, beyond what the tree itself knows. */
export type Names = {
  kinds(): Promise<readonly string[]>
  /** Of objects of a kind. */
  objects(kind: string, namespace: string | undefined): Promise<readonly string[]>
  namespaces(): Promise<readonly string[]>
  proxies(): Promise<readonly string[]>
  contexts(): Promise<readonly string[]>
}

export type Candidates = { readonly words: readonly string[]; readonly files: boolean }

const nothing: Candidates = { words: [], files: false }
const words = (list: readonly string[]): Candidates => ({ words: list, files: false })

/** typed: all words after `weft`; the last one, perhaps empty, is the one being written. */
export async function candidates(program: Command, typed: readonly string[], names: Names): Promise<Candidates> {
  const [before, last = ''] = [typed.slice(0, -1), typed.at(-1)]
  let command = program
  const given: string[] = []
  let namespace: string | undefined
  let awaiting: Option | undefined
  for (const word of before) {
    if (awaiting) {
      if (awaiting.long === '--namespace') namespace = word
      awaiting = undefined
      continue
    }
    if (word === '--') return { words: [], files: true }
    if (word.startsWith('-')) {
      const option = flagsOf(command).find(({ long, short }) => word === long || word === short)
      if (option?.required) awaiting = option
      continue
    }
    const inner: Command | undefined = given.length === 0 ? command.commands.find(each => each.name() === word) : undefined
    if (inner) command = inner
    else given.push(word)
  }
  const matching = (found: Candidates): Candidates => ({ ...found, words: found.words.filter(word => word.startsWith(last)) })
  if (awaiting) return matching(await forFlag(awaiting, namespace, names))
  if (last.startsWith('-')) return matching(words(flagsOf(command).flatMap(({ long, short }) => [long ?? '', short ?? ''].filter(Boolean))))
  if (command.commands.length > 0) return matching(words(subcommandsOf(command)))
  return matching(await forArgument(command, given, last, namespace, names))
}

export const flagsOf = (command: Command): readonly Option[] => [...command.createHelp().visibleOptions(command)]
export const subcommandsOf = (command: Command): readonly string[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .map(each => each.name())

async function forFlag({ long, argChoices, description }: Option, namespace: string | undefined, names: Names): Promise<Candidates> {
  if (argChoices) return words(argChoices)
  if (long === '--namespace') return words(await names.namespaces())
  if (long === '--from' && description.startsWith('who asks')) return words(await names.proxies())
  if (long === '--to') return words(await names.objects('services', namespace))
  if (long === '--file' || long === '--data') return { words: [], files: true }
  if (long === '--capture') return words(['auto', 'namespace', 'proxy'])
  if (long === '--ready') return words(['tcp', 'none'])
  return nothing
}

/** By the name of the argument in the tree. */
async function forArgument(
  command: Command,
  given: readonly string[],
  last: string,
  namespace: string | undefined,
  names: Names,
): Promise<Candidates> {
  const declared = command.registeredArguments
  const argument = declared[Math.min(given.length, declared.length - 1)]
  if (!argument || (given.length >= declared.length && !argument.variadic)) return nothing
  switch (argument.name()) {
    case 'kind': {
      const [kind, slash] = [last.split('/')[0]!, last.includes('/')]
      return slash ? words((await names.objects(kind, namespace)).map(name => `${kind}/${name}`)) : words(await names.kinds())
    }
    case 'name':
      return words((await names.objects(given[0]!, namespace)).filter(name => !given.slice(1).includes(name)))
    case 'proxy':
      return words(await names.proxies())
    case 'context':
      return words(await names.contexts())
    case 'command':
      return { words: [], files: true }
    default:
      return nothing
  }
}
