/** The namespace that the pages are narrowed to, remembered from visit to visit; null is all. */

import { useLocalStorage } from '@mantine/hooks'

export function useNamespace(): readonly [string | null, (namespace: string | null) => void] {
  const [namespace, setNamespace] = useLocalStorage<string>({ key: 'weft.namespace', defaultValue: '' })
  return [namespace === '' ? null : namespace, chosen => setNamespace(chosen ?? '')]
}

export const inNamespace =
  (namespace: string | null) =>
  (thing: { readonly namespace: string }): boolean =>
    namespace === null || thing.namespace === namespace
