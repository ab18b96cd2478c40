/** Which path the SPIFFE ids of a trust domain have: made of a namespace and a service account, and read back, by a template. */

export type WorkloadName = { readonly namespace: string; readonly serviceAccount: string }

/** Of trust domains whose template is another than the default. */
export type IdTemplates = Readonly<Record<string, string>>

/** The form that Istio and Envoy based meshes share. */
export const defaultIdTemplate = '/ns/{namespace}/sa/{serviceAccount}'

/**
 * Who the control plane is. It follows no template: whoever joins has to know whom to expect before anybody tells it more than the trust domain.
 * The same as `controlId` of the identity room.
 */
const controlName: WorkloadName = { namespace: 'weft-system', serviceAccount: 'control' }
export const controlPath = `/ns/${controlName.namespace}/sa/${controlName.serviceAccount}`

const variables = ['{namespace}', '{serviceAccount}'] as const
/** SPIFFE-ID §2.2 and §2.3: letters of a segment, and how long an id may be. */
const segmentRule = /^[a-zA-Z0-9._-]+$/
const maxBytes = 2048
/** `spiffe://` and the longest trust domain; the longest name of Kubernetes. */
const [headBytes, nameBytes] = [9 + 255, 63]

/** Why it is no template by which each id is read as one namespace and one service account only, as the end of a sentence; undefined when it is one. */
export function whyNotIdTemplate(text: string): string | undefined {
  if (!text.startsWith('/')) return 'it must begin with a slash'
  const segments = text.slice(1).split('/')
  for (const segment of segments) {
    if ((variables as readonly string[]).includes(segment)) continue
    if (segment === '') return 'it has an empty segment or ends in a slash'
    if (segment === '.' || segment === '..') return `it has the relative segment "${segment}"`
    if (/[{}]/.test(segment))
      return `its segment "${segment}" is not just one variable: {namespace} and {serviceAccount} are whole segments, or it could not be told where one ends`
    if (!segmentRule.test(segment)) return `its segment "${segment}" is not made of letters, digits, dot, dash and underscore`
  }
  for (const variable of variables) {
    const times = segments.filter(segment => segment === variable).length
    if (times !== 1) return `it needs ${variable} once, and has it ${times === 0 ? 'not at all' : `${times} times`}`
  }
  const most = headBytes + variables.reduce((bytes, variable) => bytes + nameBytes - variable.length, text.length)
  if (most > maxBytes) return `an id could be ${most} bytes long, and may be ${maxBytes}`
  const { namespace, serviceAccount } = workloadAt(text, controlPath) ?? controlName
  if (namespace !== controlName.namespace || serviceAccount !== controlName.serviceAccount)
    return `service account ${serviceAccount} in namespace ${namespace} would be ${controlPath}, which is the control plane`
  return undefined
}

export const templateOf = (templates: IdTemplates | undefined, trustDomain: string): string =>
  (templates !== undefined && Object.hasOwn(templates, trustDomain) ? templates[trustDomain] : undefined) ?? defaultIdTemplate

/** As `IdTemplates` has it. */
export const otherThanDefault = (trustDomain: string, template: string | undefined): IdTemplates =>
  template === undefined || template === defaultIdTemplate ? {} : { [trustDomain]: template }

/** With its leading slash. The names are taken as they are. */
export const pathBy = (template: string, { namespace, serviceAccount }: WorkloadName): string =>
  template.replace(/\{namespace\}|\{serviceAccount\}/g, variable => (variable === '{namespace}' ? namespace : serviceAccount))

/** As pathBy has it, behind the trust domain. */
export const idBy = (template: string, trustDomain: string, name: WorkloadName): string =>
  `spiffe://${trustDomain}${pathBy(template, name)}`

/** Undefined: the path is not of this form. */
export function workloadAt(template: string, path: string): WorkloadName | undefined {
  const found = readerOf(template).exec(path)?.groups
  return found === undefined ? undefined : { namespace: found['namespace']!, serviceAccount: found['serviceAccount']! }
}

/** Whoever an id is, by the template of its trust domain. Undefined: nobody that the template could name. */
export function workloadIn(id: string, templates: IdTemplates | undefined): WorkloadName | undefined {
  const [, trustDomain, path] = /^spiffe:\/\/([^/]+)(\/.*)$/.exec(id) ?? []
  return trustDomain === undefined || path === undefined ? undefined : workloadAt(templateOf(templates, trustDomain), path)
}

/** A regular expression (RE2) of the ids of all service accounts in a namespace, whole; without one: of all ids of the form. */
export function idPattern(template: string, trustDomain: string, namespace?: string): string {
  const path = template.split('/').map(part => {
    if (part === '{namespace}' && namespace !== undefined) return escaped(namespace)
    return (variables as readonly string[]).includes(part) ? '[^/]+' : escaped(part)
  })
  return `${escaped(`spiffe://${trustDomain}`)}${path.join('/')}`
}

const escaped = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`)

const readers = new Map<string, RegExp>()

/** A mesh has few templates: one of its own, and those of the trust domains that it believes. */
function readerOf(template: string): RegExp {
  let reader = readers.get(template)
  if (reader === undefined) {
    const pattern = template
      .split('/')
      .map(part => ((variables as readonly string[]).includes(part) ? `(?<${part.slice(1, -1)}>[^/]+)` : escaped(part)))
    readers.set(template, (reader = new RegExp(`^${pattern.join('/')}$`)))
  }
  return reader
}
