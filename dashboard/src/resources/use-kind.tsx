/** The kind that the address of a page names, or what to show while it is not known. */

import { IconFileOff } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import type { Kind } from '../api/resources.ts'
import { kindsQuery } from '../api/resources.ts'
import { Empty, Loading, Refused } from '../shared/empty.tsx'

export function useKind(): { readonly kind: Kind | undefined; readonly waiting: ReactNode } {
  const { group, version, plural } = useParams({ strict: false })
  const kinds = useQuery(kindsQuery)
  const kind = kinds.data?.find(kind => (kind.group || 'core') === group && kind.version === version && kind.plural === plural)
  if (kind) return { kind, waiting: null }
  if (kinds.error && !kinds.data) return { kind, waiting: <Refused error={kinds.error} retry={() => void kinds.refetch()} /> }
  return {
    kind,
    waiting: kinds.data ? <Empty icon={<IconFileOff />} title={`There is no kind ${plural} in ${group}/${version}`} /> : <Loading />,
  }
}
