/**
 * Whose request it is, where its route asks for that: a login, then a token; and its route once more where claims choose it.
 *
 *   route ─▶ login ─▶ token ─▶ do claims choose? ─▶ the route by them ─▶ what that asks for beside ─▶ on
 */

import { Failure } from '#base/failure'
import type { Listener } from '#model/listener'
import type { Route } from '#model/route'
import type { View } from '#model/view'
import { answer } from '../requests/answer.ts'
import type { Exchange } from '../requests/exchange.ts'
import type { Logins } from './login.ts'
import type { Tokens } from './tokens.ts'

export type Proving = { readonly tokens: Tokens; readonly logins: Logins }

/** choose: the route by what is known of the request now. goOn: with the route that holds, now or later. Throws why not, or answers later. */
export function askForProof(
  exchange: Exchange,
  route: Route,
  view: View,
  means: Proving,
  choose: () => Route,
  goOn: (route: Route) => void,
  onBug: (bug: unknown) => void,
): void {
  const listener = view.listeners[exchange.entry.listener.name] ?? exchange.entry.listener
  const refuse = (thrown: unknown): void => (thrown instanceof Failure ? answer(exchange, thrown) : onBug(thrown))
  const ask = (asking: Route, then: (doClaimsChoose: boolean) => void): void => {
    const askToken = (by: boolean): void => {
      if (asking.tokens === undefined) return then(by)
      const policy = known(listener, asking.tokens, listener.tokens)
      means.tokens.admit(exchange, policy, () => then(by || policy.choosesRoutes === true), refuse)
    }
    if (asking.login === undefined) return askToken(false)
    const policy = known(listener, asking.login, listener.logins)
    const chooses = policy.choosesRoutes === true
    // Who logged in needs no token beside, where tokens are the other way in.
    const isEnough = (by: 'session' | 'bearer'): boolean => by === 'session' && policy.passesBearer
    means.logins.admit(exchange, policy, by => (isEnough(by) ? then(chooses) : askToken(chooses)), refuse)
  }
  ask(route, doClaimsChoose => {
    if (!doClaimsChoose) return goOn(route)
    const chosen = choose()
    // It is chosen by what was proved; what it asks for beside must be proved too, and does not choose again.
    if (chosen.login === route.login && chosen.tokens === route.tokens) return goOn(chosen)
    ask(chosen, () => goOn(chosen))
  })
}

function known<P extends { readonly name: string }>(listener: Listener, name: string, policies: readonly P[] = []): P {
  const policy = policies.find(each => each.name === name)
  if (policy === undefined) throw new Failure('keys-unavailable', `${listener.name} does not know ${name} yet`)
  return policy
}
