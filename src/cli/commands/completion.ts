/** `weft completion` and the hidden `weft __complete`, which its scripts ask. */

import type { Command } from 'commander'
import { candidates, type Names } from '../completion/candidates.ts'
import { bashScript, fishScript, zshScript } from '../completion/scripts.ts'
import { readContexts } from '../context.ts'
import { exit } from '../exit.ts'
import { findKind } from '../kinds.ts'
import { openScope, type Session } from '../session.ts'

export function completion({ say }: Session, shell: 'bash' | 'zsh' | 'fish', program: Command): number {
  say.raw({ bash: bashScript, zsh: zshScript, fish: fishScript }[shell](program))
  return exit.ok
}

/** One candidate a line, `:files` for names of files. Whatever goes wrong, a shell is told nothing rather than an error. */
export async function complete(session: Session, program: Command, typed: readonly string[]): Promise<number> {
  try {
    const { words, files } = await candidates(program, typed, namesOf(session, flagValue(typed, '--control')))
    for (const word of words) session.say.out(word)
    if (files) session.say.out(':files')
  } catch {
    return exit.failed
  }
  return exit.ok
}

const flagValue = (typed: readonly string[], flag: string): string | undefined => {
  const at = typed.indexOf(flag)
  return at < 0 ? typed.find(word => word.startsWith(`${flag}=`))?.slice(flag.length + 1) : typed[at + 1]
}

function namesOf(session: Session, control: string | undefined): Names {
  const open = () => openScope(session, { control })
  return {
    kinds: async () => (await open()).kinds.flatMap(({ plural }) => plural),
    async objects(typed, namespace) {
      const scope = await open()
      const kind = findKind(scope.kinds, typed)
      return kind
        ? (await scope.client.list(kind, { namespace: namespace ?? scope.namespace })).items.map(({ metadata }) => metadata.name)
        : []
    },
    async namespaces() {
      const scope = await open()
      const kind = findKind(scope.kinds, 'namespaces')
      return kind ? (await scope.client.list(kind)).items.map(({ metadata }) => metadata.name) : []
    },
    async proxies() {
      const { client } = await session.reach(control)
      return [...new Set((await client.proxies()).flatMap(({ service, id }) => [service, id]))]
    },
    contexts: async () => Object.keys((await readContexts(session.edge.configFolder)).contexts),
  }
}
