const KEPT =
  /^(?:npm_config_(?:registry|cache|userconfig|globalconfig|ca|cafile|strict_ssl|proxy|https_proxy|noproxy)|(?:https?|no)_proxy|node_extra_ca_certs|ssl_cert_(?:file|dir))$/i

/**
 * The variables by which npm reaches its registry on this machine: a mirror, a cache, a proxy, an
 * authority for certificates. Those of the npm that runs the tests, such as its directory, are left
 * out.
 */
export function findNpmVariables(): Record<string, string> {
  const found = Object.entries(process.env).filter(([name]) => KEPT.test(name))
  return Object.fromEntries(found.map(([name, value]) => [name, value ?? '']))
}
