/** What a Secret holds, kept from those who may read that it is there and no more: in every reply of the API, and in the record of changes. */

import { mayDo } from '#api/rights'
import type { Problem } from '#base/note'
import type { Resource } from '#resources/kind'
import type { Principal } from '../operators/principal.ts'

/** `(hidden)` in base64: what reads values of a Secret can read it. */
export const hidden = 'KGhpZGRlbik='
/** What `kubectl apply` writes holds the whole document once more. */
export const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration'

export const isSecret = ({ apiVersion, kind }: Pick<Resource, 'apiVersion' | 'kind'>): boolean => kind === 'Secret' && apiVersion === 'v1'

export const maySee = (by: Principal, resource: Resource): boolean =>
  !isSecret(resource) || mayDo(by.grants, 'administer', resource.metadata.namespace)

/** With the names of what it holds, and without that itself. */
export function redacted(resource: Resource): Resource {
  const { data } = resource as Resource & { readonly data?: Readonly<Record<string, string>> }
  const { annotations } = resource.metadata
  const applied = annotations?.[lastApplied]
  const { [lastApplied]: _, ...others } = annotations ?? {}
  const shown = applied === undefined ? annotations : { ...others, ...documentWithout(applied) }
  return {
    ...resource,
    metadata: { ...resource.metadata, ...(shown === undefined ? {} : { annotations: shown }) },
    ...(data === undefined ? {} : { data: withoutValues(data) }),
  }
}

const withoutValues = (data: object): object => Object.fromEntries(Object.keys(data).map(name => [name, hidden]))

/** kubectl reads its own annotation again: as JSON it stays, or it goes. */
function documentWithout(text: string): Readonly<Record<string, string>> {
  try {
    const document = JSON.parse(text) as Readonly<Record<string, unknown>>
    const parts = ['data', 'stringData'].flatMap(name => {
      const part = document[name]
      return typeof part === 'object' && part !== null ? [[name, withoutValues(part)]] : []
    })
    const { apiVersion, kind, metadata, type } = document
    return { [lastApplied]: JSON.stringify({ apiVersion, kind, metadata, type, ...Object.fromEntries(parts) }) }
  } catch {
    return {}
  }
}

/** Who read the placeholder and writes it back would lose what it stands for. */
export function hiddenWritten(resource: Resource): readonly Problem[] {
  if (!isSecret(resource)) return []
  const { data = {} } = resource as Resource & { readonly data?: Readonly<Record<string, string>> }
  return Object.entries(data).flatMap(([name, value]) =>
    value === hidden
      ? [
          {
            path: `data.${name}`,
            says: 'is only the placeholder of a value that you may not read: give the value, or patch other fields alone',
          },
        ]
      : [],
  )
}
