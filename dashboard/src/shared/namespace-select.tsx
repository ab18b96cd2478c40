/** Narrows the pages to one namespace. */

import { Select } from '@mantine/core'
import type { ReactNode } from 'react'
import { useNamespace } from './namespace.ts'

/** of: the namespaces that there are; the chosen one stays choosable when nothing is left in it. */
export function NamespaceSelect({ of }: { of: readonly string[] }): ReactNode {
  const [namespace, setNamespace] = useNamespace()
  const data = [...new Set([...of.filter(name => name !== ''), ...(namespace === null ? [] : [namespace])])].sort()
  return (
    <Select
      size="xs"
      w={160}
      clearable
      aria-label="Namespace"
      data-testid="namespace"
      placeholder="All namespaces"
      data={data}
      value={namespace}
      onChange={setNamespace}
    />
  )
}
