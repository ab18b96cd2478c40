/** Who is logged in, and what they may do: the same judgement as the control plane's, so that the page does not offer what would be refused. */

import { queryOptions, useQuery } from '@tanstack/react-query'
import { mayDo, type Right } from '../../../src/api/rights.ts'
import type { Login } from '../../../src/api/mesh-api.ts'
import { control, queries } from './queries.ts'
import type { Kind } from './shapes.ts'

export type { Login } from '../../../src/api/mesh-api.ts'

export const loginQuery = queryOptions({ queryKey: ['login'], queryFn: () => control.login(), refetchInterval: 30_000, staleTime: 10_000 })
export const useLogin = () => useQuery(loginQuery)

/** Asked of nobody until that is known: what is greyed in between comes back at once. */
const grantsOf = (login: Login | undefined) => login?.user?.grants ?? []

/** Why this may not be changed by whoever looks at it; undefined: it may. namespace: undefined for what has none. */
export function useWhyNot(kind: Pick<Kind, 'plural' | 'namespaced'>, namespace: string | undefined): string | undefined {
  const { data } = useLogin()
  const right: Right = kind.plural === 'namespaces' ? 'administer' : 'edit'
  const place = kind.namespaced ? namespace : undefined
  return mayDo(grantsOf(data), right, place) ? undefined : why(right, place)
}

/** Where lists are asked for: undefined for everywhere at once, else each namespace that may be read. */
export async function placesToRead({ namespaced }: Pick<Kind, 'namespaced'>): Promise<readonly (string | undefined)[]> {
  const grants = grantsOf(await queries.ensureQueryData(loginQuery))
  if (!namespaced || mayDo(grants, 'read')) return [undefined]
  const named = [...new Set(grants.flatMap(({ namespaces = [] }) => namespaces))].sort()
  return named.length === 0 ? [undefined] : named
}

/** Of something new, whose namespace is not chosen yet. */
export function useWhyNone(kind: Pick<Kind, 'plural' | 'namespaced'>): string | undefined {
  const { data } = useLogin()
  const right: Right = kind.plural === 'namespaces' ? 'administer' : 'edit'
  const isSomewhere = grantsOf(data).some(
    ({ role, namespaces }) => mayDo([{ role }], right, undefined) && (kind.namespaced || namespaces === undefined),
  )
  return isSomewhere ? undefined : why(right, undefined)
}

const why = (right: Right, namespace: string | undefined): string =>
  `You may look, and not change: that needs the role ${right === 'edit' ? 'editor' : 'admin'}${namespace === undefined ? '' : ` in the namespace ${namespace}`}`
