package reapi

import "google.golang.org/grpc"

// casDesc describes the ContentAddressableStorage service.
func (s *Server) casDesc() *grpc.ServiceDesc {
	return service(casService, executionProto)
}
