package reapi

import (
	"github.com/larder-build/larder/internal/digest"
	"github.com/larder-build/larder/internal/resourcename"
)

// checkInstance refuses an instance name that the protocol does not allow
// (rule 6).
func checkInstance(name string) error {
	if name == "" {
		return nil
	}
	if err := resourcename.CheckInstance(name); err != nil {
		return invalidField("instance_name", err)
	}
	return nil
}

// resolveFunction returns the digest function of a request: the one its
// digest_function names, else the one that the length of a hash implies (rule
// 8).
func resolveFunction(named int32, hexLen int) (digest.Function, error) {
	fn := digest.Function(named)
	if int32(fn) != named {
		return digest.Unknown, invalid("digest_function: %d is not a digest function", named)
	}
	fn, err := digest.Resolve(fn, hexLen)
	if err != nil {
		return digest.Unknown, invalidField("digest_function", err)
	}
	return fn, nil
}
