/** Completion scripts: what never changes is written into them, so that it costs nothing; names are asked of `weft __complete`. */

import type { Command, Option } from 'commander'
import { flagsOf, subcommandsOf } from './candidates.ts'

/** One command of the tree: its words after `weft`, joined by spaces. */
type Place = {
  readonly path: string
  readonly commands: readonly string[]
  readonly flags: readonly string[]
  readonly options: readonly Option[]
}

export function placesOf(command: Command, path = ''): readonly Place[] {
  const options = flagsOf(command)
  const flags = options.flatMap(({ long, short }) => [long ?? '', short ?? ''].filter(Boolean))
  const own: Place = { path, commands: subcommandsOf(command), flags, options }
  const inner = command.commands.filter(each => own.commands.includes(each.name()))
  return [own, ...inner.flatMap(each => placesOf(each, path === '' ? each.name() : `${path} ${each.name()}`))]
}

const cases = (program: Command, part: (place: Place) => readonly string[], line: (path: string, words: string) => string): string =>
  placesOf(program)
    .filter(place => part(place).length > 0)
    .map(place => line(place.path, part(place).join(' ')))
    .join('\n')

/** Two functions that bash and zsh read alike: the commands and the flags at a place. */
const tables = (program: Command): string => `_weft_commands() {
  case "$1" in
${cases(
  program,
  place => place.commands,
  (path, words) => `    "${path}") echo "${words}" ;;`,
)}
  esac
}
_weft_flags() {
  case "$1" in
${cases(
  program,
  place => place.flags,
  (path, words) => `    "${path}") echo "${words}" ;;`,
)}
  esac
}`

/** Works on bash 3.2, which macOS has. */
export const bashScript = (program: Command): string => `# bash completion for weft; made by: weft completion bash
${tables(program)}
_weft() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" path="" word i rest="" line files=""
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$word" in -*) continue ;; esac
    case " $(_weft_commands "$path") " in
      *" $word "*) path="\${path:+$path }$word" ;;
      *) rest=1; break ;;
    esac
  done
  if [[ "$cur" == -* ]]; then
    COMPREPLY=($(compgen -W "$(_weft_flags "$path")" -- "$cur"))
    return
  fi
  if [[ -z "$rest" && "$prev" != -* && -n "$(_weft_commands "$path")" ]]; then
    COMPREPLY=($(compgen -W "$(_weft_commands "$path")" -- "$cur"))
    return
  fi
  while IFS= read -r line; do
    if [[ "$line" == ":files" ]]; then files=1; else COMPREPLY+=("$line"); fi
  done < <("\${COMP_WORDS[0]}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [[ -n "$files" ]]; then COMPREPLY+=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null; fi
}
complete -F _weft weft
`

export const zshScript = (program: Command): string => `#compdef weft
# zsh completion for weft; made by: weft completion zsh
${tables(program)}
_weft() {
  local cur="\${words[CURRENT]}" prev="\${words[CURRENT-1]}" at="" word rest="" line i
  local -a found
  for ((i = 2; i < CURRENT; i++)); do
    word="\${words[i]}"
    case "$word" in -*) continue ;; esac
    case " $(_weft_commands "$at") " in
      *" $word "*) at="\${at:+$at }$word" ;;
      *) rest=1; break ;;
    esac
  done
  if [[ "$cur" == -* ]]; then
    compadd -- \${=$(_weft_flags "$at")}
    return
  fi
  if [[ -z "$rest" && "$prev" != -* && -n "$(_weft_commands "$at")" ]]; then
    compadd -- \${=$(_weft_commands "$at")}
    return
  fi
  for line in "\${(@f)$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ "$line" == ":files" ]]; then _files; elif [[ -n "$line" ]]; then found+=("$line"); fi
  done
  (( \${#found} )) && compadd -- "\${found[@]}"
}
if [[ "\${funcstack[1]}" == "_weft" ]]; then _weft "$@"; else compdef _weft weft; fi
`

export const fishScript = (program: Command): string => `# fish completion for weft; made by: weft completion fish
function __weft_dynamic
  set -l typed (commandline -opc) (commandline -ct)
  for line in (weft __complete -- $typed[2..-1] 2>/dev/null)
    if test "$line" = ":files"
      __fish_complete_path (commandline -ct)
    else
      echo $line
    end
  end
end
function __weft_words
  set -l typed (commandline -opc)
  set -l words
  for word in $typed[2..-1]
    string match -q -- '-*' $word; or set -a words $word
  end
  echo "$words"
end
function __weft_at
  test (__weft_words) = "$argv[1]"
end
function __weft_in
  string match -q -- "$argv[1] *" (__weft_words)" "
end
complete -c weft -f
${placesOf(program)
  .flatMap(({ path, commands, options }) => [
    commands.length > 0
      ? `complete -c weft -n '__weft_at "${path}"' -a '${commands.join(' ')}'`
      : `complete -c weft -n '__weft_in "${path}"' -a '(__weft_dynamic)'`,
    ...options.map(option => fishFlag(path, option)),
  ])
  .join('\n')}
`

/** A flag that takes a value asks for what it could be. */
function fishFlag(path: string, { long, short, required, description }: Option): string {
  const names = [long && `-l ${long.slice(2)}`, short && `-s ${short.slice(1)}`].filter(Boolean).join(' ')
  const says = description.replaceAll(/['\\]/g, '')
  return `complete -c weft -n '${path === '' ? '__weft_at ""' : `__weft_in "${path}"`}' ${names}${required ? " -x -a '(__weft_dynamic)'" : ''} -d '${says}'`
}
