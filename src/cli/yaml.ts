/** Documents as YAML. A file of its own, which is loaded when somebody asks for YAML: the bundle can load one of ours later, but not a package of the older module format by its names. */

export { stringify } from 'yaml'
