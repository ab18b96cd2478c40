/** `KIND NAME…`, `KIND/NAME…`: which objects a command is about. */

import type { ServedKind } from '#api/client'
import { badUsage } from './exit.ts'
import { chooseKinds, oneKind } from './kinds.ts'

/** names undefined: all. */
export type Named = { readonly kind: ServedKind; readonly names: readonly string[] | undefined }

export async function whichObjects(kinds: readonly ServedKind[], first: string, rest: readonly string[]): Promise<readonly Named[]> {
  if (first.includes('/')) {
    const pairs = [first, ...rest].map(text => text.split('/'))
    if (pairs.some(pair => pair.length !== 2 || pair.includes('')))
      throw badUsage([`"${[first, ...rest].join(' ')}": either KIND NAME… or KIND/NAME for each`])
    const found: { kind: ServedKind; names: string[] }[] = []
    for (const [typed = '', name = ''] of pairs) {
      const kind = await oneKind(kinds, typed)
      const known = found.find(each => each.kind === kind)
      if (known) known.names.push(name)
      else found.push({ kind, names: [name] })
    }
    return found
  }
  const chosen = await chooseKinds(kinds, first)
  if (rest.length > 0 && chosen.length > 1) throw badUsage([`names can be given for one kind only, "${first}" are ${chosen.length}`])
  return chosen.map(kind => ({ kind, names: rest.length > 0 ? rest : undefined }))
}
