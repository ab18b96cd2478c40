/** What is wrong with something a person wrote, said so that the person can mend it. */

/** Where in which file: line and column count from 1. */
export type Place = { readonly file: string; readonly line: number; readonly column: number }

/** path: field path such as `spec.rules[0].backendRefs[1].name`. says: what is wrong and what to do, no final stop. */
export type Problem = {
  readonly place?: Place | undefined
  readonly about?: string | undefined
  readonly path?: string | undefined
  readonly says: string
}

/** `file:line:column: Kind/name: path: says`, leaving out what is not known. */
export function tellProblem(problem: Problem): string {
  const { place, about, path, says } = problem
  const where = place ? `${place.file}:${place.line}:${place.column}` : undefined
  return [where, about, path, says].filter(part => part !== undefined && part !== '').join(': ')
}

/** Thrown at an edge (a file, a flag, the API) when input cannot be used: every problem together. It has a message for people and no use for its stack. */
export class BadInput extends Error {
  readonly problems: readonly Problem[]
  constructor(problems: readonly Problem[]) {
    super(problems.map(tellProblem).join('\n'))
    this.name = 'BadInput'
    this.problems = problems
  }
}
