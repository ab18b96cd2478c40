/** Who may do what with the operator API: roles, the rights that they give, and in which namespaces. Browser-safe: the dashboard asks the same. */

export const roles = ['viewer', 'editor', 'admin'] as const
export type Role = (typeof roles)[number]

/**
 * read: everything but what Secrets hold. edit: make, change and remove resources. administer: read Secrets, write status, make namespaces, join tokens and
 * users, replace the root, read the record of changes.
 */
export type Right = 'read' | 'edit' | 'administer'

/** What each role may do. */
const rightsOf: Readonly<Record<Role, readonly Right[]>> = {
  viewer: ['read'],
  editor: ['read', 'edit'],
  admin: ['read', 'edit', 'administer'],
}

/** A role, in some namespaces or, without, in the whole mesh. */
export type Grant = { readonly role: Role; readonly namespaces?: readonly string[] }

/** namespace: undefined for what concerns the whole mesh. */
export function mayDo(grants: readonly Grant[], right: Right, namespace?: string): boolean {
  return grants.some(
    ({ role, namespaces }) =>
      rightsOf[role].includes(right) && (namespaces === undefined || (namespace !== undefined && namespaces.includes(namespace))),
  )
}

/** The smallest role that gives a right. */
export const roleFor = (right: Right): Role => roles.find(role => rightsOf[role].includes(right))!

/** `editor:shop,cart`, or `viewer` for the whole mesh. */
export const tellGrant = ({ role, namespaces }: Grant): string => (namespaces === undefined ? role : `${role}:${namespaces.join(',')}`)

/** What `tellGrant` says; or the sentence that says what is wrong with it. */
export function readGrant(text: string): Grant | string {
  const [word = '', rest] = text.split(/:(.*)/s)
  const role = roles.find(each => each === word)
  if (role === undefined) return `must be one of ${roles.join(', ')}, and perhaps the namespaces behind a colon: editor:shop,cart`
  if (rest === undefined) return { role }
  const namespaces = rest.split(',')
  return namespaces.every(each => /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(each))
    ? { role, namespaces }
    : `"${rest}" must be names of namespaces with commas between them, such as editor:shop,cart`
}
