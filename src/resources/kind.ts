/** What a resource kind declares, once: schema, names, columns. Validator, OpenAPI, kubectl tables, reference pages and forms derive from it. */

import type { z } from 'zod'

export type ObjectMeta = {
  readonly name: string
  readonly namespace?: string | undefined
  readonly uid?: string | undefined
  readonly resourceVersion?: string | undefined
  readonly generation?: number | undefined
  readonly creationTimestamp?: string | undefined
  readonly deletionTimestamp?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
  readonly [other: string]: unknown
}

/** A Kubernetes-shaped document. `spec` and `status` are typed by the kind's schemas. */
export type Resource<Spec = unknown, Status = unknown> = {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly spec?: Spec
  readonly status?: Status
  readonly [other: string]: unknown
}

/** meta.k8s.io/v1 Condition. */
export type Condition = {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration?: number
  readonly lastTransitionTime: string
}

/**
 * A column of `kubectl get`: priority 0 shows always, 1 with -o wide.
 * As in a CRD's additionalPrinterColumns: Name (and Namespace) are not listed, the server puts them first; Age is listed.
 * `date`: the value is an RFC 3339 time, shown as an age.
 */
export type Column = {
  readonly name: string
  readonly type: 'string' | 'integer' | 'date' | 'boolean'
  readonly description: string
  readonly priority?: number
  /** now: ms since the epoch. */
  readonly value: (resource: Resource, now: number) => string | number | boolean | undefined
}

/** What breaks a rule over a whole object: the path, relative to the object, and what to do. */
export type Broken = { readonly path: readonly (string | number)[]; readonly says: string }

export type Kind = {
  readonly group: string // '' for core
  readonly version: string
  /** Other versions of the group that are read as the same shape, such as v1beta1; stored as `version`. */
  readonly alsoVersions?: readonly string[]
  readonly kind: string
  readonly plural: string
  readonly singular: string
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly namespaced: boolean
  /** The whole top level besides apiVersion, kind and metadata: usually { spec, status }; every schema is strict: unknown fields are errors. */
  readonly schema: z.ZodObject
  /** What must hold between fields of the top level. */
  readonly check?: (document: unknown) => Iterable<Broken>
  readonly hasStatus: boolean
  readonly columns: readonly Column[]
  /** One paragraph for the reference page and kubectl explain. */
  readonly description: string
}

export const apiVersionOf = (kind: Kind): string => (kind.group === '' ? kind.version : `${kind.group}/${kind.version}`)
