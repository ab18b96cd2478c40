/** A view as people may see it: without the private keys of Gateways. */

import type { Listener, View } from './view.ts'

const hidden = 'not shown'

/** The same object where there is nothing to hide. */
export function withoutKeys(view: View): View {
  const all = Object.values(view.listeners)
  if (!all.some(each => each.terminates !== undefined)) return view
  return { ...view, listeners: Object.fromEntries(all.map(each => [each.name, bare(each)])) }
}

const bare = ({ terminates, ...rest }: Listener): Listener =>
  terminates === undefined
    ? rest
    : {
        ...rest,
        terminates: terminates.map(each => ({ ...each, certificates: each.certificates.map(({ cert }) => ({ cert, key: hidden })) })),
      }
